"""Sides that take arrays and give arrays: what a service runs, with a converted module too."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx
import onnxruntime
import openvino
import tensorflow as tf
import tensorflow_hub
import tf2onnx

import hub_keras_bridge as hub
from benchmarks.kinds.kind import Module
from benchmarks.sides import (
    COMPILED,
    KERAS_LAYER,
    ONNX_RUNTIME,
    OPENVINO,
    OURS,
    SESSION,
    compiled_by,
)
from benchmarks.sides.callers import CALLERS

Run = Callable[[np.ndarray], np.ndarray]
Batches = Sequence[np.ndarray]

_LONGEST = 200  # Of what an engine says.


class LeftOut(Exception):
    """A side cannot run a module; why, in a line."""


@dataclass(frozen=True)
class Runner:
    """A module, ready to run.

    Attributes:
        run: from a batch to the output.
        note: what is to be known of it.
    """

    run: Run
    note: str = ""


# From a module, and batches of all sizes that it will be run on.
Prepare = Callable[[Module, Batches], Runner]


def _module_layer(module: Module, _: Batches) -> Runner:
    layer = hub.ModuleLayer(module.path)
    return Runner(lambda batch: layer(batch).numpy())


def _keras_layer(module: Module, _: Batches) -> Runner:
    layer = tensorflow_hub.KerasLayer(str(module.path))
    return Runner(lambda batch: layer(tf.constant(batch)).numpy())


def _session(module: Module, _: Batches) -> Runner:
    bind = CALLERS[SESSION](module)
    return Runner(lambda batch: bind(batch)())


def _compiled(engine: str, module: Module, batches: Batches) -> Runner:
    try:
        compiled = hub.compile(module.path, engine=engine, examples=list(batches))
    except hub.EngineError as error:
        raise LeftOut(str(error.found or error.problem)) from error
    choices = compiled.report().choices
    told = ", ".join(f"{name} at batch {size}" for size, name in choices.items())
    return Runner(compiled, f"runs {told}" if engine == "auto" else "")


# --- as one converts a module without hub.compile ---


_Function = tf.types.experimental.PolymorphicFunction


def _by_hand(convert: Callable[[_Function], Run]) -> Prepare:
    """An engine with the graph that tensorflow_hub has of a module."""

    def prepare(module: Module, batches: Batches) -> Runner:
        spec = tf.TensorSpec([None, *module.kind.shape], module.kind.dtype)
        layer = tensorflow_hub.KerasLayer(str(module.path))

        @tf.function(input_signature=[spec], autograph=False)
        def function(batch: tf.Tensor) -> tf.Tensor:
            return layer(batch)

        try:
            run = convert(function)
            run(batches[0])
        except Exception as error:  # Those of converters and engines have no common class.
            raise LeftOut(textwrap.shorten(str(error), _LONGEST)) from error
        # What is converted may share the memory of the layer's weights.
        run.function = function
        return Runner(run)

    return prepare


def _onnx_runtime(function: _Function) -> Run:
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    model, _ = tf2onnx.convert.from_function(function, function.input_signature)
    newest = {each.domain: each.version for each in model.opset_import}
    lacks = {
        node.op_type
        for node in model.graph.node
        if not onnx.defs.has(node.op_type, newest.get(node.domain, 0), node.domain)
    }
    if lacks:
        raise ValueError(f"tf2onnx converts no {', '.join(sorted(lacks))}")
    providers = onnxruntime.get_available_providers()
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=providers)
    (given,) = session.get_inputs()
    return lambda batch: session.run(None, {given.name: batch})[0]


def _openvino(function: _Function) -> Run:
    compiled = openvino.compile_model(openvino.convert_model(function))
    return lambda batch: compiled(batch)[0]


# The first is what the others are compared with.
RUNNERS: dict[str, Prepare] = {
    COMPILED: partial(_compiled, "auto"),
    **{compiled_by(name): partial(_compiled, name) for name in ("tensorflow", *hub.ENGINES)},
    OURS: _module_layer,
    KERAS_LAYER: _keras_layer,
    SESSION: _session,
    ONNX_RUNTIME: _by_hand(_onnx_runtime),
    OPENVINO: _by_hand(_openvino),
}
