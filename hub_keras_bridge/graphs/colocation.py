"""Which ops share a device with which.

A node's attribute ``_class`` lists, after ``loc:@``, the ops whose device it
shares (tensorflow/core/framework/node_def.proto).
"""

from __future__ import annotations

from collections.abc import Collection

from tensorflow.core.framework import graph_pb2, node_def_pb2

_ATTRIBUTE = "_class"
_PREFIX = b"loc:@"


def take_out(graph_def: graph_pb2.GraphDef, inside: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Leaves only constraints between a graph's own nodes; changes the graph.

    Args:
        graph_def: a pruned graph.
        inside: its nodes that nothing from outside takes the place of.

    Returns:
        Node -> the other ops that it was to share a device with.
    """
    taken = {}
    for node in graph_def.node:
        groups = _groups(node)
        if others := tuple(name for name in groups if name not in inside):
            taken[node.name] = others
            _set_groups(node, [name for name in groups if name in inside])
    return taken


def _groups(node: node_def_pb2.NodeDef) -> list[str]:
    if _ATTRIBUTE not in node.attr:
        return []
    values = node.attr[_ATTRIBUTE].list.s
    return [value.removeprefix(_PREFIX).decode() for value in values if value.startswith(_PREFIX)]


def _set_groups(node: node_def_pb2.NodeDef, names: list[str]) -> None:
    del node.attr[_ATTRIBUTE]
    if names:
        node.attr[_ATTRIBUTE].list.s.extend(_PREFIX + name.encode() for name in names)
