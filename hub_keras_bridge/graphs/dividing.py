"""A graph in three parts: what strings and tables need, the numbers, and strings made of them.

The part in the middle has numbers alone, comes in and goes out as numbers, and has no
effects, so that an inference engine other than TensorFlow may run it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tensorflow.core.framework import graph_pb2, node_def_pb2, types_pb2

from hub_keras_bridge.graphs.graph import (
    is_control,
    node_name,
    nodes_by_name,
    reached_from,
    tensor_name,
)
from hub_keras_bridge.graphs.library import calls
from hub_keras_bridge.graphs.ops import definitions as op_facts

_FOREIGN = frozenset({types_pb2.DT_STRING, types_pb2.DT_RESOURCE})
_V1_CONTROL_FLOW = frozenset({"Enter", "Exit", "Merge", "NextIteration", "Switch"})


@dataclass(frozen=True)
class Division:
    """Tensors at the borders of the parts.

    Attributes:
        first: what the first part returns.
        effects: nodes of the first part that run besides, such as assertions.
        entering: what the numeric part reads, inputs of the graph and results of the first part.
        leaving: what the numeric part returns.
        last: what the last part returns; it reads inputs and results of the others.
        numeric: names of the nodes in the middle.
    """

    first: tuple[str, ...]
    effects: tuple[str, ...]
    entering: tuple[str, ...]
    leaving: tuple[str, ...]
    last: tuple[str, ...]
    numeric: frozenset[str]


def divide(graph_def: graph_pb2.GraphDef, fetches: Iterable[str]) -> Division:
    """Cuts a graph where its dtypes become numeric, and where they cease to be.

    Nodes that no placeholder decides, weights above all, go to each part that reads
    them. A node that a string is made of, from which numbers are made again, is in the
    first part whatever it computes: the middle is entered once.

    Args:
        graph_def: a graph without variables, whose inputs and tables are placeholders.
        fetches: the tensors wanted.
    """
    nodes = nodes_by_name(graph_def)
    wanted = list(dict.fromkeys(map(tensor_name, fetches)))
    functions = _Functions(graph_def)
    foreign = {name for name, node in nodes.items() if functions.is_foreign(node)}
    groups = _handed_on_inside(nodes, functions.signatures)
    while True:
        parts = _Parts(nodes, wanted, foreign)
        torn = [group for group in groups if parts.tears(group)]
        if not torn:
            return parts.division()
        # A handle of a list, say, stays on one side.
        foreign = foreign.union(*torn)
        groups = [group for group in groups if not group <= foreign]


def without_waiting(graph_def: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """The same graph, in which no node waits for another that it does not read."""
    result = graph_pb2.GraphDef()
    result.CopyFrom(graph_def)
    for node in result.node:
        kept = [reference for reference in node.input if not is_control(reference)]
        del node.input[:]
        node.input.extend(kept)
    return result


def foreign_ops(graph_def: graph_pb2.GraphDef, fetches: Iterable[str]) -> set[str]:
    """The ops, of those whose results tensors are made of, that have strings, tables or effects.

    Args:
        graph_def: as of :func:`divide`.
        fetches: the tensors.
    """
    nodes = nodes_by_name(without_waiting(graph_def))
    functions = _Functions(graph_def)
    sources = {name: list(map(node_name, node.input)) for name, node in nodes.items()}
    needed = [nodes[name] for name in reached_from(map(node_name, fetches), sources)]
    return functions.foreign_ops(node for node in needed if node.op != "Placeholder")


class _Parts:
    """Which node is in which part."""

    def __init__(
        self,
        nodes: Mapping[str, node_def_pb2.NodeDef],
        wanted: Sequence[str],
        foreign: Collection[str],
    ) -> None:
        self._nodes, self._wanted = nodes, wanted
        self._reads = {
            name: [tensor_name(r) for r in node.input if not is_control(r)]
            for name, node in nodes.items()
        }
        sources = {name: list(map(node_name, tensors)) for name, tensors in self._reads.items()}
        self._needed = needed = reached_from(map(node_name, wanted), sources)
        readers = defaultdict[str, list[str]](list)
        for name in needed:
            for source in sources[name]:
                readers[source].append(name)
        self._given = {name for name in needed if nodes[name].op == "Placeholder"}
        numbers = needed - self._given - set(foreign)
        makers = (reached_from(numbers, sources) & set(foreign)) - self._given
        self._first = reached_from(makers, sources) - self._given
        self._fixed = numbers - reached_from(self._given | makers, readers)
        self.numeric = frozenset(numbers - self._first - self._fixed)
        self._last = needed - self._given - numbers - self._first

    def tears(self, group: frozenset[str]) -> bool:
        """Whether some of a group are in the middle, and others in another part."""
        needed = group & self._needed
        return bool(needed & self.numeric) and not needed <= self.numeric | self._fixed

    def division(self) -> Division:
        """The tensors at the borders."""
        moving = self._first - self._fixed
        into_numeric, into_last = self._read_by(self.numeric), self._read_by(self._last)
        wanted = set(self._wanted)
        first = {t for t in into_numeric | into_last if node_name(t) in moving}
        first |= {t for t in wanted if node_name(t) in self._first}
        entering = {t for t in into_numeric if node_name(t) in moving | self._given}
        leaving = {t for t in into_last | wanted if node_name(t) in self.numeric}
        elsewhere = self._first | self.numeric | self._given
        return Division(
            first=tuple(sorted(first)),
            effects=tuple(sorted(self._effects())),
            entering=tuple(sorted(entering)),
            leaving=tuple(sorted(leaving)),
            last=tuple(t for t in self._wanted if node_name(t) not in elsewhere),
            numeric=self.numeric,
        )

    def _read_by(self, names: Iterable[str]) -> set[str]:
        return {tensor for name in names for tensor in self._reads[name]}

    def _effects(self) -> set[str]:
        """What numeric nodes wait for, and what may end a call, as an assertion does."""
        waited: set[str] = set()
        followers = defaultdict[str, list[str]](list)
        for name, node in self._nodes.items():
            for reference in node.input:
                followers[node_name(reference)].append(name)
                if is_control(reference) and name in self.numeric | self._fixed:
                    waited.add(node_name(reference))
        acting = [n.name for n in self._nodes.values() if op_facts.is_stateful(n, {})]
        return waited & reached_from(acting, followers) if waited else set()


class _Functions:
    """Tells what is no number of a graph's nodes and of the functions that they call."""

    def __init__(self, graph_def: graph_pb2.GraphDef) -> None:
        self._bodies = {f.signature.name: f.node_def for f in graph_def.library.function}
        self.signatures = {f.signature.name: f.signature for f in graph_def.library.function}
        callers = defaultdict[str, list[str]](list)
        for name, body in self._bodies.items():
            for callee in calls(body, self._bodies):
                callers[callee].append(name)
        itself = [name for name, body in self._bodies.items() if any(map(self._is_foreign, body))]
        self._foreign = reached_from(itself, callers)

    def is_foreign(self, node: node_def_pb2.NodeDef) -> bool:
        """Whether a node has strings, tables or effects, or calls what has."""
        return self._is_foreign(node) or any(
            callee in self._foreign for callee in calls([node], self._bodies)
        )

    def foreign_ops(self, nodes: Iterable[node_def_pb2.NodeDef]) -> set[str]:
        """The ops of nodes that :meth:`is_foreign` is true of, or those in what these call."""
        found, waiting, called = set[str](), list(nodes), set[str]()
        while waiting:
            node = waiting.pop()
            inside = set(calls([node], self._bodies)) - called
            called |= inside
            waiting += [each for name in inside for each in self._bodies[name]]
            if self._is_foreign(node):
                found.add(node.op)
        return found

    def _is_foreign(self, node: node_def_pb2.NodeDef) -> bool:
        if node.op in _V1_CONTROL_FLOW:
            return True
        inputs = op_facts.input_dtypes(node, self.signatures)
        outputs = op_facts.output_dtypes(node, self.signatures)
        if _FOREIGN.intersection(inputs) or _FOREIGN.intersection(outputs):
            return True
        # Whether a call has effects, what it calls tells.
        calling = any(True for _ in calls([node], self._bodies))
        return not calling and op_facts.is_stateful(node, self.signatures)


def _handed_on_inside(
    nodes: Mapping[str, node_def_pb2.NodeDef], signatures: op_facts.Signatures
) -> list[frozenset[str]]:
    """Groups of nodes that hand each other what is neither number nor string."""
    together = defaultdict[str, list[str]](list)
    for name, node in nodes.items():
        dtypes = op_facts.input_dtypes(node, signatures)
        for reference, dtype in zip(node.input, dtypes, strict=False):
            if dtype == types_pb2.DT_VARIANT:
                source = node_name(reference)
                together[source].append(name)
                together[name].append(source)
    groups, grouped = [], set[str]()
    for name in together:
        if name not in grouped:
            group = reached_from([name], together)
            grouped |= group
            groups.append(frozenset(group))
    return groups
