"""XLA, TensorFlow's compiler: one program for each shape of the inputs."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.plans.numeric import NumericGraph
from hub_keras_bridge.running import xla
from hub_keras_bridge.running.engines.engine import Engine, EngineOptions, lacks
from hub_keras_bridge.running.frozen_call import Run


class Xla(Engine):
    """Compiles the graph as a whole, which pays most where its ops are many and small."""

    name = "xla"
    compiles_each_shape = True

    def prepare(self, graph: NumericGraph, options: EngineOptions) -> Run:  # noqa: ARG002
        """Compiles at the first call with inputs of a shape."""
        if missing := xla.lacking(xla.ops_of(graph.graph_def)):
            raise lacks("XLA", missing)
        names = list(graph.inputs.values())
        graph_def = _without_placeholders(graph.graph_def)

        def run(*arguments: tf.Tensor) -> list[tf.Tensor]:
            found: list[tf.Tensor] = tf.graph_util.import_graph_def(
                graph_def,
                name="",
                input_map=dict(zip(names, arguments, strict=True)),
                return_elements=list(graph.outputs.values()),
            )
            return found

        specs = list(graph.specs.values())
        imported = private_tf.wrap_function(run, specs)
        function = tf.function(
            lambda *arguments: imported(*arguments),
            input_signature=specs,
            autograph=False,
            jit_compile=True,
        ).get_concrete_function()
        call = private_tf.called_directly(function)
        dtypes = [spec.dtype for spec in specs]
        return lambda arrays: [np.asarray(t) for t in call(*map(tf.constant, arrays, dtypes))]


def _without_placeholders(graph_def: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """XLA would compile them, though nothing reads them any more."""
    result = graph_pb2.GraphDef()
    result.CopyFrom(graph_def)
    del result.node[:]
    result.node.extend(node for node in graph_def.node if node.op != "Placeholder")
    return result
