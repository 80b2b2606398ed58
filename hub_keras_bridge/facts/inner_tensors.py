"""Inner tensors: all that a published graph computes, by name, in a signature or in none."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property

import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2, tensor_shape_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.facts.tensor_protos import parse_tensor_info
from hub_keras_bridge.graphs import control_flow, graph, legacy
from hub_keras_bridge.graphs.inside import Inside, inside
from hub_keras_bridge.graphs.ops import definitions as op_facts

_NAME = re.compile(r"[^:^]+:(0|[1-9][0-9]{0,8})")


def is_tensor_name(key: str) -> bool:
    """Whether an output's key has the form of a tensor's name.

    >>> is_tensor_name("bert/pooler/dense/Tanh:0"), is_tensor_name("pooled_output")
    (True, False)
    """
    return isinstance(key, str) and _NAME.fullmatch(key) is not None


@dataclass(frozen=True)
class Obstacle:
    """Why a call cannot return a tensor.

    Attributes:
        what: what it is, in a few words.
        advice: what to ask for instead.
    """

    what: str
    advice: str


@dataclass(frozen=True)
class InnerTensor:
    """A tensor of a published graph.

    Attributes:
        name: as published, ``node:index``.
        op: what computes it.
        info: its dtype and shape, as far as the graph tells, and the tensor that has its
            value in terms of TensorFlow 2.
        obstacle: why a call cannot return it; None where it can.
    """

    name: str
    op: str
    info: ParsedTensorInfo
    obstacle: Obstacle | None


_OBSTACLES = {
    Inside.LOOP: Obstacle(
        f"within {Inside.LOOP.value}",
        "inside of a loop a tensor has a value for each turn: ask for what leaves the loop, the "
        "output of one of its Exit nodes",
    ),
    Inside.BRANCH: Obstacle(
        f"within {Inside.BRANCH.value}",
        "the branch may not run: ask for what joins the branches, the output of a Merge node",
    ),
}
_HANDLE = Obstacle(
    "a handle",
    "a handle leads to a variable, a table or the like, and is no value: ask for what reads it, "
    "of a variable v the output of v/Read/ReadVariableOp, or use layer.variable_map",
)
_REFERENCE = Obstacle(
    "a reference that an op hands on",
    "ask for the variable that it refers to, or for what reads it",
)
_FLOW = Obstacle(
    "the flow of a TensorArray",
    "a flow only orders what is done with an array: ask for what reads the array",
)


class InnerTensors:
    """The tensors of a graph as published.

    Args:
        graph_def: the graph, with reference variables and old tables where it has any.
    """

    def __init__(self, graph_def: graph_pb2.GraphDef) -> None:
        self._graph_def = graph_def

    @cached_property
    def nodes(self) -> dict[str, node_def_pb2.NodeDef]:
        """The nodes by name, in the order of the graph."""
        return graph.nodes_by_name(self._graph_def)

    @cached_property
    def inside(self) -> dict[str, Inside]:
        """The nodes that lie in loops or branches."""
        return inside(self.nodes)

    @cached_property
    def _flows(self) -> Collection[str]:
        try:
            return control_flow.flows(self.nodes)
        except control_flow.Irregular:
            return ()  # Such arrays stay as they are.

    @cached_property
    def _functions(self) -> op_facts.Signatures:
        return {f.signature.name: f.signature for f in self._graph_def.library.function}

    def knows(self, op: str) -> bool:
        """Whether an op is registered, or is one of the graph's own functions."""
        return op in self._functions or private_tf.op_def(op) is not None

    def of(self, node: node_def_pb2.NodeDef) -> Iterator[InnerTensor]:
        """What a node gives.

        Raises:
            FormatError: its op is not registered, or an attribute is missing.
        """
        for index, dtype in enumerate(op_facts.output_dtypes(node, self._functions)):
            yield self._tensor(node, index, dtype)

    def _tensor(self, node: node_def_pb2.NodeDef, index: int, dtype: int) -> InnerTensor:
        name = f"{node.name}:{index}"
        proto = meta_graph_pb2.TensorInfo(
            name=legacy.value_of(name) if legacy.is_variable(node) else name,
            dtype=dtype,
            tensor_shape=_shape(node, index),
        )
        info = parse_tensor_info(proto)
        return InnerTensor(name, node.op, info, self._obstacle(node, index, info.dtype))

    def _obstacle(self, node: node_def_pb2.NodeDef, index: int, dtype: tf.DType) -> Obstacle | None:
        if node.name in self.inside:
            return _OBSTACLES[self.inside[node.name]]
        if f"{node.name}:{index}" in self._flows:
            return _FLOW
        if dtype in (tf.resource, tf.variant):
            return _HANDLE
        if not legacy.is_variable(node) and op_facts.is_reference(node, index, self._functions):
            # What hands out a reference of its own is an old table or the like.
            return _REFERENCE if node.input else _HANDLE
        return None


def _shape(node: node_def_pb2.NodeDef, index: int) -> tensor_shape_pb2.TensorShapeProto:
    """What the publisher's TensorFlow knew of it."""
    recorded = node.attr["_output_shapes"].list.shape if "_output_shapes" in node.attr else ()
    if index < len(recorded):
        return recorded[index]
    return tensor_shape_pb2.TensorShapeProto(unknown_rank=True)
