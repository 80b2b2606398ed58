"""Each op that writes to a variable, as one that computes the new value."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from tensorflow.core.framework import node_def_pb2, types_pb2

from hub_keras_bridge.graphs.control_flow.on_value import set_types
from hub_keras_bridge.graphs.control_flow.subgraph import constant

_INT32 = types_pb2.DT_INT32

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


def _slice(node: node_def_pb2.NodeDef, dtype: int) -> list[node_def_pb2.NodeDef]:
    # The masks are called the same.
    node.op = "TensorStridedSliceUpdate"
    node.attr["T"].type = dtype
    return []


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
        rows = _Rows(node, dtype)
        node.op = op
        node.input[:3] = [rows.value, rows.listed, rows.updates]
        set_types(node, T=dtype, Tindices=rows.indices)
        return list(rows.besides.values())

    return write


def _scatter_factors(op: str) -> _Write:
    """As :func:`_scatter`, by the product of what is written to a row."""

    def write(node: node_def_pb2.NodeDef, dtype: int) -> list[node_def_pb2.NodeDef]:
        rows = _Rows(node, dtype)
        types = {"T": dtype, "Tindices": rows.indices, "Tnumsegments": _INT32}
        segments = [rows.updates, rows.flat, rows.count()]
        node.op = op
        node.input[:3] = [rows.value, rows.add("factors", "UnsortedSegmentProd", segments, **types)]
        set_types(node, T=dtype)
        return list(rows.besides.values())

    return write


class _Rows:
    """The nodes that make of what a scatter is given a list of rows' numbers, and a row for each.

    Attributes:
        value: the value before.
        indices: dtype of the numbers.
        flat: the numbers, in a list.
        listed: each of them in a list of its own.
        updates: the rows.
        besides: the nodes.
    """

    def __init__(self, node: node_def_pb2.NodeDef, dtype: int) -> None:
        self._name, self._dtype = node.name, dtype
        self.value, numbers, updates = node.input[:3]
        self.indices = node.attr["Tindices"].type
        self._axis = constant(f"{node.name}/axis", 0, _INT32)
        column = constant(f"{node.name}/column", [-1, 1], _INT32)
        self.besides = {self._axis.name: self._axis, column.name: column}
        reshaped = [numbers, column.name]
        self.listed = self.add("numbers", "Reshape", reshaped, T=self.indices, Tshape=_INT32)
        self.flat = self.add("list", "Squeeze", [self.listed], T=self.indices)
        self.besides[self.flat].attr["squeeze_dims"].list.i.append(1)
        shape = self._shape("shape", numbers)
        whole = self.add("whole", "BroadcastTo", [updates, shape], T=dtype, Tidx=_INT32)
        each = [whole, self._shape("flat", self.flat)]
        self.updates = self.add("updates", "Reshape", each, T=dtype, Tshape=_INT32)

    def add(self, name: str, op: str, inputs: list[str], **types: int) -> str:
        """Adds a node; returns its name."""
        made = node_def_pb2.NodeDef(name=f"{self._name}/{name}", op=op, input=inputs)
        set_types(made, **types)
        self.besides[made.name] = made
        return made.name

    def count(self) -> str:
        """How many rows the value has."""
        shape = self.add("all", "Shape", [self.value], T=self._dtype, out_type=_INT32)
        types = {"Tparams": _INT32, "Tindices": _INT32, "Taxis": _INT32}
        return self.add("count", "GatherV2", [shape, self._axis.name, self._axis.name], **types)

    def _shape(self, name: str, numbers: str) -> str:
        types = {"Tparams": self._dtype, "Tindices": self.indices, "Taxis": _INT32}
        inputs = [self.value, numbers, self._axis.name]
        found = self.add(f"{name}/rows", "GatherV2", inputs, **types)
        return self.add(name, "Shape", [found], T=self._dtype, out_type=_INT32)


WRITES: dict[str, _Write] = {
    "AssignVariableOp": _assign,
    "AssignAddVariableOp": _by("AddV2"),
    "AssignSubVariableOp": _by("Sub"),
    "ResourceScatterUpdate": _scatter("TensorScatterUpdate"),
    "ResourceScatterAdd": _scatter("TensorScatterAdd"),
    "ResourceScatterSub": _scatter("TensorScatterSub"),
    "ResourceScatterMul": _scatter_factors("Mul"),
    "ResourceScatterDiv": _scatter_factors("Div"),
    "ResourceScatterMin": _scatter("TensorScatterMin"),
    "ResourceScatterMax": _scatter("TensorScatterMax"),
    "ResourceScatterNdUpdate": _scatter_nd("TensorScatterUpdate"),
    "ResourceScatterNdAdd": _scatter_nd("TensorScatterAdd"),
    "ResourceScatterNdSub": _scatter_nd("TensorScatterSub"),
    "ResourceScatterNdMin": _scatter_nd("TensorScatterMin"),
    "ResourceScatterNdMax": _scatter_nd("TensorScatterMax"),
    "ResourceStridedSliceAssign": _slice,
}
