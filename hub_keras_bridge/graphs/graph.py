"""Names and reach in a GraphDef.

Nothing here touches a TensorFlow runtime; protos go in, facts come out.

In a GraphDef an op's input is written ``node`` or ``node:index`` for a tensor,
``^node`` for a control edge (tensorflow/core/framework/node_def.proto).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from tensorflow.core.framework import graph_pb2, node_def_pb2

from hub_keras_bridge.errors import Subject, damaged


def node_name(reference: str) -> str:
    """The node in a tensor name or a node's input.

    >>> node_name("a/b:1"), node_name("^a/b"), node_name("a/b")
    ('a/b', 'a/b', 'a/b')
    """
    return reference.removeprefix("^").partition(":")[0]


def tensor_name(reference: str) -> str:
    """A tensor's full name.

    >>> tensor_name("a"), tensor_name("a:1")
    ('a:0', 'a:1')
    """
    name, _, index = reference.partition(":")
    return f"{name}:{index or 0}"


def is_control(reference: str) -> bool:
    """Whether a node's input is a control edge."""
    return reference.startswith("^")


def nodes_by_name(graph_def: graph_pb2.GraphDef) -> dict[str, node_def_pb2.NodeDef]:
    """The nodes themselves, not copies."""
    return {node.name: node for node in graph_def.node}


def rewrite_node(
    nodes: dict[str, node_def_pb2.NodeDef],
    node: node_def_pb2.NodeDef,
    rewrite: Callable[[node_def_pb2.NodeDef], Iterable[node_def_pb2.NodeDef]],
) -> None:
    """Changes a node, and adds the nodes that it then needs under names that are free.

    Args:
        nodes: the graph by name, to which they are added.
        node: one of them.
        rewrite: changes a node, and returns what it needs, named after it.
    """
    for number in itertools.count():
        made = node_def_pb2.NodeDef()
        made.CopyFrom(node)
        made.name = f"{node.name}_{number}" if number else node.name
        besides = {each.name: each for each in rewrite(made)}
        if nodes.keys().isdisjoint(besides):
            made.name = node.name
            node.CopyFrom(made)
            nodes |= besides
            return


class Cut(frozenset[str]):
    """Tensors that are given from outside; made once for many walks.

    Attributes:
        nodes: names of the nodes that they come from.
    """

    nodes: frozenset[str]

    def __new__(cls, tensors: Iterable[str] = ()) -> Cut:
        """Takes full names of tensors."""
        made = super().__new__(cls, tensors)
        made.nodes = frozenset(map(node_name, made))
        return made


def handed_on(
    nodes: Mapping[str, node_def_pb2.NodeDef], sources: Collection[str]
) -> dict[str, str]:
    """Each ``Identity`` that has the value of a source, directly or through others -> the source.

    Args:
        nodes: the graph or the function's body, by name.
        sources: tensors by their full names, in a set.
    """
    found: dict[str, str] = {}
    readers: dict[str, list[str]] = {}
    for node in nodes.values():
        if node.op == "Identity" and node.input and not is_control(node.input[0]):
            source = tensor_name(node.input[0])
            if source in sources:
                found[node.name] = source
            else:
                readers.setdefault(node_name(source), []).append(node.name)
    waiting = list(found)
    while waiting:
        name = waiting.pop()
        # Each reads one tensor, and so is met once.
        for reader in readers.pop(name, ()):
            found[reader] = found[name]
            waiting.append(reader)
    return found


def upstream(
    nodes: Mapping[str, node_def_pb2.NodeDef],
    targets: Iterable[str],
    cut: Collection[str] = (),
    subject: Subject | None = None,
) -> set[str]:
    """Names of all nodes that the targets depend on.

    Args:
        nodes: the graph.
        targets: tensor or node names.
        cut: tensors that are given from outside, so that what computes them is
            not followed.
        subject: for messages.

    Raises:
        FormatError: something names a node that is not in the graph.
    """
    given = cut if isinstance(cut, Cut) else Cut(cut)
    reached: set[str] = set()
    waiting = [node_name(t) for t in targets if tensor_name(t) not in given]
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        node = nodes.get(name)
        if node is None:
            raise damaged(
                "Cannot follow the graph of a TF1 Hub module: a node is missing.",
                subject,
                expected=f"a node named {name!r}",
                found="only references to it",
            )
        reached.add(name)
        waiting.extend(map(node_name, followed(node, given)))
    return reached


def followed(node: node_def_pb2.NodeDef, cut: Cut) -> Iterator[str]:
    """The inputs of a node that do not come from outside."""
    for reference in node.input:
        if is_control(reference):
            # A cut node has no effects of its own to wait for.
            if node_name(reference) not in cut.nodes:
                yield reference
        elif tensor_name(reference) not in cut:
            yield reference


def downstream(
    nodes: Mapping[str, node_def_pb2.NodeDef], sources: Iterable[str], cut: Cut
) -> set[str]:
    """Names of the sources and of all nodes that depend on them.

    Args:
        nodes: the graph, or a part of it.
        sources: names of nodes.
        cut: as for :func:`upstream`.
    """
    readers: dict[str, list[str]] = {}
    for name, node in nodes.items():
        for reference in followed(node, cut):
            readers.setdefault(node_name(reference), []).append(name)
    return reached_from(sources, readers)


def reached_from(sources: Iterable[str], following: Mapping[str, Collection[str]]) -> set[str]:
    """Some names, and all that follow them, one after another.

    >>> sorted(reached_from(["a"], {"a": ["b"], "b": ["a", "c"], "d": ["e"]}))
    ['a', 'b', 'c']
    """
    reached: set[str] = set()
    waiting = list(sources)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(following.get(name, ()))
    return reached
