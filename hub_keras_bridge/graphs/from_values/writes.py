"""Each op that writes to a variable, as one that computes the new value."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from tensorflow.core.framework import node_def_pb2, types_pb2

from hub_keras_bridge.graphs.control_flow.on_value import set_types
from hub_keras_bridge.graphs.control_flow.subgraph import constant

_Write: TypeAlias = Callable[[node_def_pb2.NodeDef, int], list[node_def_pb2.NodeDef]]


def new_value(node: node_def_pb2.NodeDef, dtype: int) -> list[node_def_pb2.NodeDef]:
    """Makes of an op of ``WRITES`` one whose output is the new value; changes it.

    Args:
        node: the op; its first input is the value before.
        dtype: of the value.

    Returns:
        The nodes that it needs besides.
    """
    return WRITES[node.op](node, dtype)


def _assign(node: node_def_pb2.NodeDef, dtype: int) -> list[node_def_pb2.NodeDef]:
    del node.input[0]
    node.op = "Identity"
    set_types(node, T=dtype)
    return []


def _by(op: str) -> _Write:
    def write(node: node_def_pb2.NodeDef, dtype: int) -> list[node_def_pb2.NodeDef]:
        node.op = op
        set_types(node, T=dtype)
        return []

    return write


def _scatter_nd(op: str) -> _Write:
    def write(node: node_def_pb2.NodeDef, dtype: int) -> list[node_def_pb2.NodeDef]:
        indices = node.attr["Tindices"].type
        node.op = op
        set_types(node, T=dtype, Tindices=indices)
        return []

    return write


def _scatter(op: str) -> _Write:
    """Of rows by their numbers; one number may stand for all that is written."""

    def write(node: node_def_pb2.NodeDef, dtype: int) -> list[node_def_pb2.NodeDef]:
        value, numbers, updates = node.input[:3]
        indices, integer = node.attr["Tindices"].type, types_pb2.DT_INT32
        axis = constant(f"{node.name}/axis", 0, integer)
        column = constant(f"{node.name}/column", [-1, 1], integer)
        besides = {axis.name: axis, column.name: column}

        def add(name: str, op: str, inputs: list[str], **types: int) -> str:
            made = node_def_pb2.NodeDef(name=f"{node.name}/{name}", op=op, input=inputs)
            set_types(made, **types)
            besides[made.name] = made
            return made.name

        def rows(name: str, numbers: str) -> str:
            types = {"Tparams": dtype, "Tindices": indices, "Taxis": integer}
            found = add(f"{name}/rows", "GatherV2", [value, numbers, axis.name], **types)
            return add(name, "Shape", [found], T=dtype, out_type=integer)

        # One list of numbers, and a row for each.
        listed = add("numbers", "Reshape", [numbers, column.name], T=indices, Tshape=integer)
        flat = add("list", "Squeeze", [listed], T=indices)
        besides[flat].attr["squeeze_dims"].list.i.append(1)
        whole = add(
            "whole", "BroadcastTo", [updates, rows("shape", numbers)], T=dtype, Tidx=integer
        )
        each = add("updates", "Reshape", [whole, rows("flat", flat)], T=dtype, Tshape=integer)
        node.input[:3] = [value, listed, each]
        node.op = op
        set_types(node, T=dtype, Tindices=indices)
        return list(besides.values())

    return write


WRITES: dict[str, _Write] = {
    "AssignVariableOp": _assign,
    "AssignAddVariableOp": _by("AddV2"),
    "AssignSubVariableOp": _by("Sub"),
    "ResourceScatterUpdate": _scatter("TensorScatterUpdate"),
    "ResourceScatterAdd": _scatter("TensorScatterAdd"),
    "ResourceScatterSub": _scatter("TensorScatterSub"),
    "ResourceScatterMin": _scatter("TensorScatterMin"),
    "ResourceScatterMax": _scatter("TensorScatterMax"),
    "ResourceScatterNdUpdate": _scatter_nd("TensorScatterUpdate"),
    "ResourceScatterNdAdd": _scatter_nd("TensorScatterAdd"),
    "ResourceScatterNdSub": _scatter_nd("TensorScatterSub"),
}
