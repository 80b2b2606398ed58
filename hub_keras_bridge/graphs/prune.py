"""Cuts a GraphDef down to what is wanted of it: protos in, protos out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from tensorflow.core.framework import graph_pb2, node_def_pb2

from hub_keras_bridge.errors import Subject
from hub_keras_bridge.graphs.graph import (
    Cut,
    is_control,
    node_name,
    nodes_by_name,
    tensor_name,
    upstream,
)


@dataclass(frozen=True)
class Placeholder:
    """What stands where a tensor was cut: ``dtype`` as a DataType enum."""

    dtype: int
    shape: object = None  # TensorShapeProto; unknown where None


@dataclass(frozen=True)
class Walk:
    """What of a graph is needed for some targets: the one walk for all who ask.

    What is imported and run, and what is looked at before, both come from here.

    Attributes:
        nodes: names of the nodes that run.
        given: cut tensors that these read, or that are wanted themselves.
    """

    nodes: frozenset[str]
    given: frozenset[str]


def walk(
    nodes: Mapping[str, node_def_pb2.NodeDef],
    targets: Iterable[str],
    cut: Collection[str],
    subject: Subject | None = None,
) -> Walk:
    """Follows a graph back from its targets to what comes from outside.

    Args:
        nodes: the graph, by name.
        targets: tensors and nodes that are wanted.
        cut: tensors that come from outside.
        subject: for messages.

    Raises:
        FormatError: something names a node that is not in the graph.
    """
    targets = list(targets)
    given = cut if isinstance(cut, Cut) else Cut(cut)
    needed = upstream(nodes, targets, given, subject)
    read = {
        tensor_name(reference)
        for name in needed
        for reference in nodes[name].input
        if not is_control(reference)
    }
    read.update(map(tensor_name, targets))
    return Walk(frozenset(needed), frozenset(read & given))


@dataclass(frozen=True, eq=False)
class Pruned:
    """A graph cut down to what its targets need.

    Attributes:
        graph_def: the nodes that remain, and all functions.
        placeholders: cut tensor -> the placeholder tensor that stands for it;
            only of cut tensors that are wanted or that something still reads.
    """

    graph_def: graph_pb2.GraphDef
    placeholders: Mapping[str, str]


def prune(
    graph_def: graph_pb2.GraphDef,
    targets: Iterable[str],
    cut: Mapping[str, Placeholder],
    subject: Subject | None = None,
) -> Pruned:
    """Keeps what the targets need, with placeholders where tensors are cut.

    Args:
        graph_def: the whole graph.
        targets: tensors and nodes that are wanted.
        cut: tensors that come from outside.
        subject: for messages.
    """
    nodes = nodes_by_name(graph_def)
    given = Cut(cut)
    found = walk(nodes, targets, given, subject)
    kept = [node for name, node in nodes.items() if name in found.nodes]
    pruned = cut_out(kept, found, given, cut)
    pruned.graph_def.versions.CopyFrom(graph_def.versions)
    pruned.graph_def.library.CopyFrom(graph_def.library)
    return pruned


def cut_out(
    nodes: Iterable[node_def_pb2.NodeDef],
    walked: Walk,
    given: Cut,
    stand_ins: Mapping[str, Placeholder],
) -> Pruned:
    """What a walk found, with placeholders for what came from outside; without functions.

    Args:
        nodes: those of the walk, in the order that they are to have.
        walked: the walk.
        given: what it was cut at.
        stand_ins: what stands for the tensors that it was given.
    """
    placeholders = {
        tensor: f"{node_name(tensor)}:0"
        if node_name(tensor) not in walked.nodes and tensor.endswith(":0")
        else f"{tensor.replace(':', '_')}/cut:0"
        for tensor in sorted(walked.given)
    }
    result = graph_pb2.GraphDef()
    for tensor, placeholder in placeholders.items():
        result.node.append(_placeholder_node(node_name(placeholder), stand_ins[tensor]))
    for node in nodes:
        kept = result.node.add()
        kept.CopyFrom(node)
        kept.device = ""
        del kept.input[:]
        kept.input.extend(_rewire(node.input, given.nodes, placeholders))
    return Pruned(result, placeholders)


def _placeholder_node(name: str, placeholder: Placeholder) -> node_def_pb2.NodeDef:
    node = node_def_pb2.NodeDef(name=name, op="Placeholder")
    node.attr["dtype"].type = placeholder.dtype
    if placeholder.shape is not None:
        node.attr["shape"].shape.CopyFrom(placeholder.shape)
    return node


def _rewire(
    references: Iterable[str], cut_nodes: Collection[str], placeholders: Mapping[str, str]
) -> list[str]:
    kept = [r for r in references if not (is_control(r) and node_name(r) in cut_nodes)]
    return [
        r
        if is_control(r)
        else node_name(placeholders[tensor_name(r)])
        if tensor_name(r) in placeholders
        else r
        for r in kept
    ]
