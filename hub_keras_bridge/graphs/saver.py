"""What a graph's own Saver restores, and from what: protos in, facts out.

A Saver has a name in the checkpoint for each variable that it saves. Mostly that is the
variable's own; not where averages were saved in place of the weights, or weights under the
names of another program.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from hub_keras_bridge.errors import Subject
from hub_keras_bridge.graphs.graph import node_name, nodes_by_name, tensor_name, upstream

Nodes = Mapping[str, node_def_pb2.NodeDef]

# What gives a variable its value: the variable first, the value second.
_ASSIGNS = frozenset({"Assign", "AssignVariableOp"})

# What gives a table its entries: the table first, keys and values after it.
_IMPORTS = frozenset({"LookupTableImport", "LookupTableImportV2"})

# What stands between what was read and what is assigned.
_BETWEEN = frozenset({"Cast", "Identity", "Reshape"})

# What reads: the path first, one name or several second.
_READS = frozenset({"Restore", "RestoreSlice", "RestoreV2"})


def restored(meta_graph: meta_graph_pb2.MetaGraphDef, subject: Subject) -> dict[str, str] | None:
    """The variables that a graph's Saver restores.

    Args:
        meta_graph: as it was saved.
        subject: for messages.

    Returns:
        Node of a variable -> its name in the checkpoint; None if the graph has no Saver.

    Raises:
        FormatError: a node is missing.
    """
    nodes = nodes_by_name(meta_graph.graph_def)
    if node_name(meta_graph.saver_def.restore_op_name) not in nodes:
        return None
    found = {}
    for node in _run_to_restore(meta_graph, nodes, subject):
        if node.op in _ASSIGNS and len(node.input) > 1:
            saved = _read_as(nodes, node.input[1])
            if saved is not None:
                found[node_name(node.input[0])] = saved
    return found


def restored_tables(
    meta_graph: meta_graph_pb2.MetaGraphDef, subject: Subject
) -> dict[str, tuple[str, str]]:
    """The tables that a graph's Saver restores, as those are that grow in training.

    Returns:
        Node that fills a table -> the names of keys and values in the checkpoint.

    Raises:
        FormatError: a node is missing.
    """
    nodes = nodes_by_name(meta_graph.graph_def)
    found = {}
    for node in _run_to_restore(meta_graph, nodes, subject):
        if node.op in _IMPORTS and len(node.input) > 2:
            keys, values = (_read_as(nodes, reference) for reference in node.input[1:3])
            if keys is not None and values is not None:
                found[node.name] = keys, values
    return found


def _run_to_restore(
    meta_graph: meta_graph_pb2.MetaGraphDef, nodes: Nodes, subject: Subject
) -> Iterator[node_def_pb2.NodeDef]:
    target = node_name(meta_graph.saver_def.restore_op_name)
    if target in nodes:
        yield from map(nodes.__getitem__, sorted(upstream(nodes, [target], subject=subject)))


def _read_as(nodes: Nodes, reference: str) -> str | None:
    """The name that a tensor is read from a checkpoint by, if it is."""
    passed = set()
    while (name := node_name(reference)) in nodes and name not in passed:
        passed.add(name)
        node = nodes[name]
        if node.op in _READS and len(node.input) > 1:
            names = nodes.get(node_name(node.input[1]))
            return _string(names, int(tensor_name(reference).rpartition(":")[2]))
        if node.op not in _BETWEEN or not node.input:
            return None
        reference = node.input[0]
    return None


def _string(node: node_def_pb2.NodeDef | None, number: int) -> str | None:
    """One of the strings of a constant."""
    values = node.attr["value"].tensor.string_val if node and node.op == "Const" else ()
    # A constant's last value stands for all that follow it.
    return values[min(number, len(values) - 1)].decode() if values else None
