"""Reads of variables moved out of branches and loops.

What enters a function is then a value, whose gradient TensorFlow knows to add
up, not a variable's handle.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeAlias

from tensorflow.core.framework import node_def_pb2

from hub_keras_bridge.graphs.control_flow.on_value import ON_VALUE, read_value
from hub_keras_bridge.graphs.control_flow.subgraph import beside
from hub_keras_bridge.graphs.graph import node_name, tensor_name

_Nodes: TypeAlias = dict[str, node_def_pb2.NodeDef]

# Ops that hand a variable's handle into a branch or a loop.
_HAND_IN = frozenset({"Switch", "Enter", "Identity"})


def hoist_reads(nodes: _Nodes, handles: Collection[str]) -> None:
    """Reads variables before control flow; changes ``nodes``.

    A variable that the graph assigns is left alone: when it is read matters.

    Args:
        nodes: a graph by name.
        handles: tensors that are variables' handles.
    """
    handed_in = _handed_in(nodes, handles)
    assigned = {
        handed_in[tensor_name(reference)]
        for node in nodes.values()
        if node.op not in _HAND_IN and node.op not in ON_VALUE
        for reference in node.input
        if tensor_name(reference) in handed_in
    }
    hoist = _Hoist(nodes)
    for node in list(nodes.values()):
        if node.op not in ON_VALUE:
            continue
        source = tensor_name(node.input[0])
        handle = handed_in.get(source)
        if handle is None or handle in assigned or source == handle:
            continue
        dtype = node.attr["dtype"].type
        node.input[0] = hoist.value(source, handle, dtype)
        where = [beside(nodes, node.input[1])] if "Gather" in node.op else []
        nodes |= {each.name: each for each in read_value(node, dtype, where)}


def _handed_in(nodes: _Nodes, handles: Collection[str]) -> dict[str, str]:
    """Each tensor that is a handle, inside or out -> the handle outside."""
    found = {handle: handle for handle in handles}
    consumers: dict[str, list[node_def_pb2.NodeDef]] = {}
    for node in nodes.values():
        if node.op in _HAND_IN:
            consumers.setdefault(tensor_name(node.input[0]), []).append(node)
    waiting = list(handles)
    while waiting:
        tensor = waiting.pop()
        for node in consumers.get(tensor, ()):
            for index in range(2 if node.op == "Switch" else 1):
                output = f"{node.name}:{index}"
                found[output] = found[tensor]
                waiting.append(output)
    return found


class _Hoist:
    """Makes, for what carries a handle in, a twin that carries the value in."""

    def __init__(self, nodes: _Nodes) -> None:
        self._nodes = nodes

    def value(self, source: str, handle: str, dtype: int) -> str:
        """The tensor that has the value where ``source`` has the handle."""
        path = [source]
        while path[-1] != handle:
            carrier = self._nodes[node_name(path[-1])]
            if _twin_name(carrier) in self._nodes:
                break
            path.append(tensor_name(carrier.input[0]))
        else:
            self._read(handle, dtype)
        # From where the value is, on to where it is wanted.
        for tensor, before in zip(path[-2::-1], path[:0:-1], strict=True):
            carrier = self._nodes[node_name(tensor)]
            twin = node_def_pb2.NodeDef()
            twin.CopyFrom(carrier)
            twin.name = _twin_name(carrier)
            twin.input[0] = self._value_at(before, handle)
            twin.attr["T"].type = dtype
            twin.attr.pop("_output_shapes", None)
            self._nodes[twin.name] = twin
        return self._value_at(source, handle)

    def _read(self, handle: str, dtype: int) -> None:
        name = node_name(self._value_at(handle, handle))
        if name not in self._nodes:
            read = node_def_pb2.NodeDef(name=name, op="ReadVariableOp", input=[handle])
            read.attr["dtype"].type = dtype
            self._nodes[name] = read

    def _value_at(self, tensor: str, handle: str) -> str:
        if tensor == handle:
            return f"{node_name(handle)}/hoisted_read:0"
        return f"{_twin_name(self._nodes[node_name(tensor)])}:{tensor.rpartition(':')[2]}"


def _twin_name(carrier: node_def_pb2.NodeDef) -> str:
    return f"{carrier.name}/hoisted_value"
