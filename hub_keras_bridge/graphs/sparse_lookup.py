"""Keeps embedding lookups sparse: a rewrite of a function's graph.

``tf.nn.embedding_lookup_sparse`` takes the distinct rows that a batch needs
(Unique, ResourceGather) and reduces them (SparseSegmentSum, -Mean, -SqrtN).
Inside a function TensorFlow's optimizer merges the three into a reduction of
the whole variable, which it reads; and a read copies a variable whose rows
were ever gathered or scattered. A 100 MB matrix then costs each call 18 ms on a
CPU, and a second 100 MB.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tensorflow.core.framework import graph_pb2

from hub_keras_bridge.graphs.graph import is_control, node_name, nodes_by_name, tensor_name

_DISTINCT = frozenset({"Unique", "UniqueV2"})


def keep(graph_def: graph_pb2.GraphDef, shapes: Mapping[str, Sequence[int]]) -> None:
    """Puts between rows and reduction what the optimizer does not see through; changes it.

    EnsureShape hands its input on, has a gradient, and XLA knows it.

    Args:
        graph_def: of a function.
        shapes: node of a variable's handle -> the variable's shape.
    """
    nodes = nodes_by_name(graph_def)
    rows = {
        f"{node.name}:0": node
        for node in graph_def.node
        if node.op == "ResourceGather"
        and node_name(node.input[0]) in shapes
        and nodes[node_name(node.input[1])].op in _DISTINCT
    }
    kept = {tensor: f"{node.name}/kept_sparse" for tensor, node in rows.items()}
    for node in graph_def.node:
        for number, reference in enumerate(node.input):
            if not is_control(reference) and tensor_name(reference) in kept:
                node.input[number] = kept[tensor_name(reference)]
    for tensor, name in kept.items():
        added = graph_def.node.add(name=name, op="EnsureShape", input=[tensor])
        added.attr["T"].CopyFrom(rows[tensor].attr["dtype"])
        for size in (-1, *shapes[node_name(rows[tensor].input[0])][1:]):
            added.attr["shape"].shape.dim.add(size=size)
