"""Sides that load a module and run one batch, eagerly or in a session."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_hub

import hub_keras_bridge as hub
from benchmarks.kinds.kind import Module
from benchmarks.sides import BARE_FUNCTION, KERAS_LAYER, OURS, SAVED_MODEL, SESSION

v1 = tf.compat.v1

# From a batch to what runs the module on it, again and again.
Bind = Callable[[np.ndarray], Callable[[], Any]]


def _module_layer(module: Module) -> Bind:
    return _on_tensors(hub.ModuleLayer(module.path))


def _keras_layer(module: Module) -> Bind:
    return _on_tensors(tensorflow_hub.KerasLayer(str(module.path)))


def _saved_model(module: Module) -> Bind:
    loaded = tf.saved_model.load(str(module.path), tags=[])
    signature = loaded.signatures["default"]

    def run(tensor: tf.Tensor) -> tf.Tensor:
        return signature(tensor)["default"]

    # The functions of a loaded model live no longer than it does.
    run.loaded = loaded
    return _on_tensors(run)


def _bare_function(module: Module) -> Bind:
    layer = hub.ModuleLayer(module.path)
    spec = tf.TensorSpec([None, *module.kind.shape], module.kind.dtype)
    function = tf.function(layer, autograph=False).get_concrete_function(spec)
    function.layer = layer
    return _on_tensors(function)


def _session(module: Module) -> Bind:
    with tf.Graph().as_default() as graph:
        inputs = v1.placeholder(module.kind.dtype, [None, *module.kind.shape])
        outputs = hub.Module(module.path)(inputs)
        session = v1.Session(graph=graph)
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        run = session.make_callable(outputs, [inputs])
    run.session = session
    return lambda batch: partial(run, batch)


def _on_tensors(run: Callable[[tf.Tensor], Any]) -> Bind:
    return lambda batch: partial(run, tf.constant(batch))


LOADERS: dict[str, Callable[[Module], Bind]] = {
    OURS: _module_layer,
    KERAS_LAYER: _keras_layer,
    SAVED_MODEL: _saved_model,
}
CALLERS: dict[str, Callable[[Module], Bind]] = {
    **LOADERS,
    BARE_FUNCTION: _bare_function,
    SESSION: _session,
}
