"""A module under mutation: its folder, and its graphs as messages."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, TypeVar

from tensorflow.core.framework import graph_pb2, node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from hub_keras_bridge.errors import HubError
from hub_keras_bridge.graphs import graph
from hub_keras_bridge.graphs.ops import definitions as op_facts

T = TypeVar("T")


class NotApplicable(Exception):
    """A mutation finds nothing to change in this module."""


class Edge(NamedTuple):
    """A tensor that a node reads: which input it is, and of what dtype."""

    graph_def: graph_pb2.GraphDef
    node: node_def_pb2.NodeDef
    position: int
    dtype: int

    @property
    def source(self) -> str:
        """What is read."""
        return self.node.input[self.position]

    def replace(self, source: str) -> None:
        """Lets the node read something else."""
        self.node.input[self.position] = source


class Victim:
    """A copy of a module that may be changed.

    Args:
        folder: of the copy.
        outside: a folder beside it, with a file ``secret`` that no module may
            reach.
        random: what all choices are drawn from.
    """

    def __init__(self, folder: Path, outside: Path, random: random.Random) -> None:
        self.folder = folder
        self.outside = outside
        self.random = random

    @cached_property
    def saved_model(self) -> saved_model_pb2.SavedModel:
        """The graphs; what is changed here is written by :meth:`write`."""
        file = self.folder / "saved_model.pb"
        if not file.is_file():
            raise NotApplicable
        return saved_model_pb2.SavedModel.FromString(file.read_bytes())

    def write(self) -> None:
        """Writes the graphs, if any mutation looked at them."""
        if "saved_model" in self.__dict__:
            content = self.saved_model.SerializeToString(deterministic=True)
            (self.folder / "saved_model.pb").write_bytes(content)

    def choose(self, options: Sequence[T]) -> T:
        """One of them."""
        if not options:
            raise NotApplicable
        return self.random.choice(options)

    def meta_graph(self) -> meta_graph_pb2.MetaGraphDef:
        """One of the variants."""
        return self.choose(self.saved_model.meta_graphs)

    def node(
        self, wanted: Callable[[node_def_pb2.NodeDef], bool] = lambda _: True
    ) -> node_def_pb2.NodeDef:
        """A node of any variant or function; more often one of a graph itself."""
        graph_def = self.meta_graph().graph_def
        bodies = [graph_def.node, *(f.node_def for f in graph_def.library.function)]
        body = bodies[0] if self.random.random() < 0.7 else self.choose(bodies)
        return self.choose([node for node in body if wanted(node)])

    def edge(self) -> Edge:
        """A tensor that a node reads, on the way to what a signature computes."""
        meta_graph = self.meta_graph()
        nodes = graph.nodes_by_name(meta_graph.graph_def)
        outputs = [
            info.name
            for signature in meta_graph.signature_def.values()
            for info in signature.outputs.values()
            if graph.node_name(info.name) in nodes
        ]
        functions = {f.signature.name: f.signature for f in meta_graph.graph_def.library.function}
        try:
            needed = sorted(graph.upstream(nodes, outputs))
            node = self.choose(
                [nodes[n] for n in needed if any(i[:1] != "^" for i in nodes[n].input)]
            )
            position = self.choose([i for i, r in enumerate(node.input) if r[:1] != "^"])
            name, _, index = graph.tensor_name(node.input[position]).rpartition(":")
            dtype = op_facts.output(nodes[name], int(index), functions)[1]
        except (HubError, LookupError, ValueError) as error:  # damaged by an earlier change
            raise NotApplicable from error
        return Edge(meta_graph.graph_def, node, position, dtype)

    def file(self) -> Path:
        """One of the module's files; none that a link leads to."""
        found = (p for p in self.folder.rglob("*") if p.is_file() and p.resolve() == p.absolute())
        return self.choose(sorted(found))
