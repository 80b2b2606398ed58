"""Sides that run a module over many batches: ``predict``, or a session's loop."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_hub
import tf_keras

import hub_keras_bridge as hub
from benchmarks.kinds.kind import Module
from benchmarks.sides import KERAS_LAYER, OURS, SAVED_MODEL, SESSION, TWIN, TWIN_WITHOUT_XLA
from benchmarks.sides.batches import batches_of
from benchmarks.sides.callers import CALLERS

# Takes inputs of shape [batches, batch, ...]; what it returns predicts them all.
Predictor = Callable[[np.ndarray], Callable[[], np.ndarray]]


def _module_layer(module: Module) -> Predictor:
    layer = hub.ModuleLayer(module.path)
    return _predict(keras.Sequential([module.kind.input_layer(), layer]))


def _keras_layer(module: Module) -> Predictor:
    layer = tensorflow_hub.KerasLayer(str(module.path))
    # It cannot enter a model of Keras 3.
    return _predict(tf_keras.Sequential([module.kind.input_layer(tf_keras), layer]))


def _saved_model(module: Module) -> Predictor:
    loaded = tf.saved_model.load(str(module.path), tags=[])

    def run(tensor: tf.Tensor) -> tf.Tensor:
        return loaded.signatures["default"](tensor)["default"]

    model = keras.Sequential([module.kind.input_layer(), keras.layers.Lambda(run)])
    return _predict(model, jit_compile=False)


def _session(module: Module) -> Predictor:
    bind = CALLERS[SESSION](module)

    def prepare(batches: np.ndarray) -> Callable[[], np.ndarray]:
        runs = [bind(batch) for batch in batches]
        return lambda: np.concatenate([run() for run in runs])

    return prepare


def _twin(module: Module, **compile_arguments: Any) -> Predictor:
    return _predict(module.twin().model, **compile_arguments)


def _predict(model: Any, **compile_arguments: Any) -> Predictor:
    if compile_arguments:
        model.compile(**compile_arguments)

    def prepare(batches: np.ndarray) -> Callable[[], np.ndarray]:
        return partial(model.predict, batches_of(batches), verbose=0)

    return prepare


PREDICTORS: dict[str, Callable[[Module], Predictor]] = {
    OURS: _module_layer,
    KERAS_LAYER: _keras_layer,
    SAVED_MODEL: _saved_model,
    SESSION: _session,
    TWIN: _twin,
    TWIN_WITHOUT_XLA: partial(_twin, jit_compile=False),
}
