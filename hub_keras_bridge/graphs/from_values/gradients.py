"""What is read of a variable after a write, with the gradient that TensorFlow 1 gives it.

There a read's gradient is one to the variable, whatever was written before, and none goes
into what was written.
"""

from __future__ import annotations

import tensorflow as tf
from tensorflow.core.framework import node_def_pb2

from hub_keras_bridge.graphs.control_flow.on_value import set_types
from hub_keras_bridge.graphs.control_flow.subgraph import unique
from hub_keras_bridge.graphs.graph import node_name
from hub_keras_bridge.graphs.prune import Placeholder


def with_gradient_to(
    first: str, written: str, value: Placeholder, nodes: dict[str, node_def_pb2.NodeDef]
) -> str:
    """A tensor that is what was written, and whose gradient is one to the first value.

    Args:
        first: the value that came from outside, a tensor.
        written: the value now.
        value: dtype and shape of both.
        nodes: where they are; what is needed is added.
    """
    dtype = tf.as_dtype(value.dtype)
    if not (dtype.is_floating or dtype.is_complex):
        return written

    def add(op: str, *inputs: str) -> str:
        node = node_def_pb2.NodeDef(
            name=unique(f"{node_name(written)}/read/{op}", nodes), op=op, input=inputs
        )
        set_types(node, T=value.dtype)
        nodes[node.name] = node
        return f"{node.name}:0"

    source = first
    if dtype.is_floating:
        # Of others the difference to itself is not zero.
        source = add("SelectV2", add("IsFinite", first), first, add("ZerosLike", first))
    nothing = add("Sub", source, add("StopGradient", source))
    return add("AddV2", add("StopGradient", written), nothing)
