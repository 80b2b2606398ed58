"""Ops of TensorFlow that other engines lack, said in ones that they have."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2

from hub_keras_bridge.plans.frozen import make_constant

# Of control flow: that TensorFlow may run it by other ops.
_LOWERED = "_lower_using_switch_merge"


def in_common_ops(graph_def: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """The same graph, with the rewrites below."""
    result = graph_pb2.GraphDef()
    result.CopyFrom(graph_def)
    for nodes in (result.node, *(function.node_def for function in result.library.function)):
        inside = nodes is not result.node
        for node in list(nodes):
            # Converters have TensorFlow simplify the graph, which then has TF1's ops for it.
            node.attr.pop(_LOWERED, None)
            if node.op in _REWRITES:
                nodes.extend(_REWRITES[node.op](node, ":y:0" if inside else ""))
    return result


def _complement(node: node_def_pb2.NodeDef, suffix: str) -> Iterable[node_def_pb2.NodeDef]:
    """``erfc(x)`` as ``1 - erf(x)``, which is as exact next to 1."""
    dtype = node.attr["T"].type
    erf = node_def_pb2.NodeDef(name=f"{node.name}/erf", op="Erf", input=[node.input[0]])
    erf.attr["T"].type = dtype
    one = node_def_pb2.NodeDef(name=f"{node.name}/one")
    make_constant(one, np.asarray(1, tf.as_dtype(dtype).as_numpy_dtype))
    output = {"": ("", ""), ":y:0": (":output:0", ":y:0")}[suffix]
    node.op = "Sub"
    node.input[:] = [f"{one.name}{output[0]}", f"{erf.name}{output[1]}"]
    return erf, one


def _identity(node: node_def_pb2.NodeDef, _: str) -> Iterable[node_def_pb2.NodeDef]:
    """What only gradients or checks see as another op."""
    node.op = "Identity"
    return ()


_REWRITES: dict[str, Callable[[node_def_pb2.NodeDef, str], Iterable[node_def_pb2.NodeDef]]] = {
    "Erfc": _complement,
    "PreventGradient": _identity,
    "StopGradient": _identity,
}
