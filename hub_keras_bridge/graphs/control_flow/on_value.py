"""Each op that reads a variable's handle, as one on the variable's value."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from tensorflow.core.framework import node_def_pb2, types_pb2

from hub_keras_bridge.graphs.control_flow.subgraph import constant

_OnValue: TypeAlias = Callable[
    [node_def_pb2.NodeDef, int, Iterable[str]], list[node_def_pb2.NodeDef]
]


def read_value(
    node: node_def_pb2.NodeDef, dtype: int, beside: Iterable[str] = ()
) -> list[node_def_pb2.NodeDef]:
    """Makes of an op of ``ON_VALUE`` one on a value, with the same outputs; changes it.

    Args:
        node: the op; its first input is the value already.
        dtype: of the value.
        beside: control inputs that put a node where the op is, in a branch or loop of
            TensorFlow 1.

    Returns:
        The nodes that it needs besides.
    """
    return ON_VALUE[node.op](node, dtype, beside)


def set_types(node: node_def_pb2.NodeDef, **types: int) -> None:
    """Gives a node these dtypes for attributes, and no others."""
    node.attr.clear()
    for name, value in types.items():
        node.attr[name].type = value


def _read(node: node_def_pb2.NodeDef, dtype: int, _: Iterable[str]) -> list[node_def_pb2.NodeDef]:
    node.op = "Identity"
    set_types(node, T=dtype)
    return []


def _shape(node: node_def_pb2.NodeDef, dtype: int, _: Iterable[str]) -> list[node_def_pb2.NodeDef]:
    out_type = node.attr["out_type"].type or types_pb2.DT_INT32
    node.op = "Shape"
    set_types(node, T=dtype, out_type=out_type)
    return []


def _gather(
    node: node_def_pb2.NodeDef, dtype: int, beside: Iterable[str]
) -> list[node_def_pb2.NodeDef]:
    batch_dims = node.attr["batch_dims"].i
    indices = node.attr["Tindices"].type
    axis = constant(f"{node.name}/axis", batch_dims, types_pb2.DT_INT32, beside)
    node.op = "GatherV2"
    node.input.insert(2, axis.name)
    set_types(node, Tparams=dtype, Tindices=indices, Taxis=types_pb2.DT_INT32)
    node.attr["batch_dims"].i = batch_dims
    return [axis]


def _gather_nd(
    node: node_def_pb2.NodeDef, dtype: int, _: Iterable[str]
) -> list[node_def_pb2.NodeDef]:
    indices = node.attr["Tindices"].type
    node.op = "GatherNd"
    set_types(node, Tparams=dtype, Tindices=indices)
    return []


ON_VALUE: dict[str, _OnValue] = {
    "ReadVariableOp": _read,
    "VariableShape": _shape,
    "ResourceGather": _gather,
    "ResourceGatherNd": _gather_nd,
}
