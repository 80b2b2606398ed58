"""Moves batch normalization into the convolution before it: a rewrite of a function's graph.

Under fixed moments, normalizing what a convolution gives is the same as convolving with
a scaled kernel and adding a bias (Jacob et al. 2018, arXiv:1712.05877, section 3.2).
That saves a pass over each image, and TensorFlow computes bias and activation along
with the convolution. Its own optimizer does so where weights are constants. Here they
stay variables: kernels are scaled in each call, so that an assigned weight counts and
gradients are right.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2, graph_pb2, node_def_pb2, types_pb2

from hub_keras_bridge.graphs.graph import (
    handed_on,
    is_control,
    node_name,
    nodes_by_name,
    tensor_name,
)

_NORMALIZATIONS = frozenset({"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"})
_FULL, _DEPTHWISE = "Conv2D", "DepthwiseConv2dNative"
_EPSILON, _CHANNELS_LAST = 1e-4, b"NHWC"  # The ops' defaults, which publishing strips.
# Of a feature map whose size nobody knows: as in the last layers of image networks.
_POSITIONS = 49


@dataclass(frozen=True, eq=False)
class _Pair:
    """A normalization, the convolution before it, and the shape of the kernel."""

    normalization: node_def_pb2.NodeDef
    convolution: node_def_pb2.NodeDef
    kernel_shape: Sequence[int]


def fold(
    graph_def: graph_pb2.GraphDef, shapes: Mapping[str, Sequence[int]], targets: Collection[str]
) -> None:
    """Folds where a kernel is smaller than an image of what it gives; changes the graph.

    A larger one takes longer to scale than the image to normalize, and is left alone.

    Args:
        graph_def: of a function, without v1 control flow.
        shapes: node of a variable's handle -> the variable's shape.
        targets: tensors and ops that are wanted of the graph.
    """
    for pair in list(_pairs(graph_def, shapes, targets)):
        _fold(graph_def, pair)


def _pairs(
    graph_def: graph_pb2.GraphDef, shapes: Mapping[str, Sequence[int]], targets: Collection[str]
) -> Iterable[_Pair]:
    normalizations = [node for node in graph_def.node if _is_fixed(node)]
    if not normalizations:
        return
    nodes = nodes_by_name(graph_def)
    values = _variable_values(nodes)
    reads = Counter(map(tensor_name, targets))
    reads.update(tensor_name(i) for n in graph_def.node for i in n.input if not is_control(i))
    for normalization in normalizations:
        result = tensor_name(normalization.input[0])
        convolution = nodes[node_name(result)]
        if (
            convolution.op in (_FULL, _DEPTHWISE)
            and reads[result] == 1
            and not any(reads[f"{normalization.name}:{output}"] for output in range(1, 6))
            and _layout(convolution) == _layout(normalization)
        ):
            kernel_shape = shapes.get(values.get(node_name(convolution.input[1]), ""))
            if kernel_shape and math.prod(kernel_shape) <= _image_size(convolution, kernel_shape):
                yield _Pair(normalization, convolution, kernel_shape)


def _is_fixed(node: node_def_pb2.NodeDef) -> bool:
    """Whether a node normalizes with given moments, all in float32."""
    return (
        node.op in _NORMALIZATIONS
        and "is_training" in node.attr  # True by default.
        and not node.attr["is_training"].b
        and node.attr["T"].type == types_pb2.DT_FLOAT
        and ("U" not in node.attr or node.attr["U"].type == types_pb2.DT_FLOAT)
    )


def _layout(node: node_def_pb2.NodeDef) -> bytes:
    return node.attr["data_format"].s if "data_format" in node.attr else _CHANNELS_LAST


def _variable_values(nodes: Mapping[str, node_def_pb2.NodeDef]) -> dict[str, str]:
    """Each node that has the value of a variable -> the node of the variable's handle."""
    handles = {
        f"{node.name}:0": node_name(node.input[0])
        for node in nodes.values()
        if node.op == "ReadVariableOp"
    }
    read = {node_name(tensor): handle for tensor, handle in handles.items()}
    return read | {name: handles[tensor] for name, tensor in handed_on(nodes, handles).items()}


def _image_size(convolution: node_def_pb2.NodeDef, kernel_shape: Sequence[int]) -> int:
    """How many numbers a convolution gives per image."""
    channels = kernel_shape[3] * (kernel_shape[2] if convolution.op == _DEPTHWISE else 1)
    # Recorded for each output; the only one's rank may be unknown.
    recorded = convolution.attr["_output_shapes"].list.shape[:1]
    sizes = [dim.size for shape in recorded for dim in shape.dim]
    first = 1 if _layout(convolution) == _CHANNELS_LAST else 2
    known = [size for size in sizes[first : first + 2] if size > 0]
    return channels * (math.prod(known) if len(known) == 2 else _POSITIONS)


def _fold(graph_def: graph_pb2.GraphDef, pair: _Pair) -> None:
    normalization, convolution = pair.normalization, pair.convolution
    prefix = f"{normalization.name}/folded"

    def add(name: str, op: str, *inputs: str) -> str:
        node = graph_def.node.add(name=f"{prefix}/{name}", op=op, input=inputs)
        node.attr["T"].type = types_pb2.DT_FLOAT
        return node.name

    def constant(name: str, value: np.ndarray) -> str:
        node = graph_def.node.add(name=f"{prefix}/{name}", op="Const")
        node.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
        return node.name

    _, gamma, beta, *moments = normalization.input[:5]
    # The op has no gradients to its moments.
    mean, variance = (
        add(name, "StopGradient", moment)
        for name, moment in zip(("mean", "variance"), moments, strict=True)
    )
    attribute = normalization.attr
    epsilon = attribute["epsilon"].f if "epsilon" in attribute else _EPSILON
    shifted = add("shifted", "AddV2", variance, constant("epsilon", np.float32(epsilon)))
    scale = add("scale", "Mul", add("rsqrt", "Rsqrt", shifted), gamma)
    bias = add("bias", "Sub", beta, add("scaled_mean", "Mul", mean, scale))
    if convolution.op == _DEPTHWISE:
        # Its last two axes, input channels and multiplier, together are the channels.
        shape = constant("shape", np.array([-1, pair.kernel_shape[3]], np.int32))
        scale = add("reshaped", "Reshape", scale, shape)
    convolution.input[1] = add("kernel", "Mul", convolution.input[1], scale)
    waits_for = [reference for reference in normalization.input if is_control(reference)]
    normalization.CopyFrom(
        node_def_pb2.NodeDef(
            # What reads the normalization reads this.
            name=normalization.name,
            op="BiasAdd",
            input=[convolution.name, bias, *waits_for],
            attr={
                "T": attr_value_pb2.AttrValue(type=types_pb2.DT_FLOAT),
                "data_format": attr_value_pb2.AttrValue(s=_layout(normalization)),
            },
        )
    )
