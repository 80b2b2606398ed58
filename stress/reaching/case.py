"""A SavedModel under mutation."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import tensorflow as tf
from tensorflow.core.framework import function_pb2, graph_pb2, node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.errors import FormatError
from hub_keras_bridge.graphs import graph
from hub_keras_bridge.graphs.ops import definitions

T = TypeVar("T")


MARK = "mark_of"


class NotApplicable(Exception):
    """A mutator finds nothing to change in this module."""


class Outside(NamedTuple):
    """What mutants point at.

    Attributes:
        folder: which no module may reach; it has a file ``secret`` of the text ``3``.
        port: of loopback, where somebody listens.
        mark: a text that is printed where a refused op is about to run.
    """

    folder: str
    port: int
    mark: str


@dataclass
class Case:
    """A copy of a module's graphs that may be changed.

    Attributes:
        saved_model: the graphs.
        drawn: what all choices are drawn from.
        outside: what to point at.
        meta_graph: one of the variants.
    """

    saved_model: saved_model_pb2.SavedModel
    drawn: random.Random
    outside: Outside
    meta_graph: meta_graph_pb2.MetaGraphDef = field(init=False)

    def __post_init__(self) -> None:
        self.meta_graph = self.choose(self.saved_model.meta_graphs)

    @property
    def graph_def(self) -> graph_pb2.GraphDef:
        """The variant's graph."""
        return self.meta_graph.graph_def

    @property
    def nodes(self) -> list[node_def_pb2.NodeDef]:
        """The graph's nodes, but for marks: nothing else is to run these."""
        return [each for each in self.graph_def.node if not each.name.startswith(MARK)]

    @property
    def functions(self) -> dict[str, function_pb2.FunctionDef]:
        """The library, by name."""
        return {f.signature.name: f for f in self.graph_def.library.function}

    @property
    def is_tf2(self) -> bool:
        """Whether TensorFlow 2 wrote it, with objects around its functions."""
        return self.meta_graph.HasField("object_graph_def")

    def collection(self, key: str) -> meta_graph_pb2.CollectionDef:
        """One of the variant's collections, to be read: empty if it has none."""
        collections = self.meta_graph.collection_def
        return collections[key] if key in collections else meta_graph_pb2.CollectionDef()

    @property
    def assets(self) -> set[str]:
        """Nodes that hold the paths of the variant's files."""
        found = list(self.meta_graph.asset_file_def)
        for packed in self.collection("saved_model_assets").any_list.value:
            found.append(meta_graph_pb2.AssetFileDef())
            packed.Unpack(found[-1])
        return {graph.node_name(each.tensor_info.name) for each in found}

    def choose(self, options: Sequence[T] | Iterable[T]) -> T:
        """One of them."""
        options = list(options)
        if not options:
            raise NotApplicable
        return self.drawn.choice(options)

    def choose_value(self, named: Mapping[str, T]) -> T:
        """One of the values of a map in a proto, which has them in no fixed order."""
        return named[self.choose(sorted(named))]

    def maybe(self, probability: float = 0.5) -> bool:
        """Heads or tails."""
        return self.drawn.random() < probability

    def name(self, stem: str) -> str:
        """A name for something new."""
        return f"{stem}_{self.drawn.getrandbits(40):x}"

    def node(self) -> node_def_pb2.NodeDef:
        """A node of the graph; in TF2 more often of a function, where the program is."""
        bodies = [f.node_def for f in self.graph_def.library.function if f.node_def]
        if bodies and self.maybe(0.8 if self.is_tf2 else 0.15):
            return self.choose(self.choose(bodies))
        return self.choose(self.nodes)


class Part(NamedTuple):
    """Nodes to put into a graph.

    Attributes:
        nodes: their inputs are named as in a graph, not as in a function.
        runs: name of the node that matters.
        told: what it is, in a few words.
    """

    nodes: tuple[node_def_pb2.NodeDef, ...]
    runs: str
    told: str


def node(name: str, op: str, inputs: Iterable[str] = (), **attributes: Any) -> node_def_pb2.NodeDef:
    """A node; attributes are AttrValue messages, dtypes, shapes or what else tells its kind."""
    made = node_def_pb2.NodeDef(name=name, op=op, input=inputs)
    for key, value in attributes.items():
        match value:
            case bool():
                made.attr[key].b = value
            case int():
                made.attr[key].i = value
            case bytes() | str():
                made.attr[key].s = tf.compat.as_bytes(value)
            case tf.DType():
                made.attr[key].type = value.as_datatype_enum
            case tf.TensorShape():
                made.attr[key].shape.CopyFrom(value.as_proto())
            case [tf.DType(), *_] | []:
                made.attr[key].list.type.extend(each.as_datatype_enum for each in value)
            case [tf.TensorShape(), *_]:
                made.attr[key].list.shape.extend(each.as_proto() for each in value)
            case _:
                made.attr[key].CopyFrom(value)
    return made


def const(name: str, value: Any, dtype: tf.DType) -> node_def_pb2.NodeDef:
    """A constant."""
    made = node(name, "Const", dtype=dtype)
    made.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value, dtype))
    return made


def in_function(
    nodes: Iterable[node_def_pb2.NodeDef], functions: dict[str, function_pb2.FunctionDef]
) -> list[node_def_pb2.NodeDef]:
    """Nodes with their inputs named as a function has them: node:argument:position."""
    nodes = list(nodes)
    by_name = {each.name: each for each in nodes}
    signatures = {name: function.signature for name, function in functions.items()}
    changed = []
    for each in nodes:
        copy = node_def_pb2.NodeDef()
        copy.CopyFrom(each)
        for position, source in enumerate(each.input):
            name, _, index = source.partition(":")
            if source.startswith("^") or name not in by_name or ":" in index:
                continue  # a control input, an argument, or as it should be
            try:
                output, _ = definitions.output(by_name[name], int(index or 0), signatures)
                copy.input[position] = f"{name}:{output}"
            except FormatError:
                copy.input[position] = f"{name}:output:0"
        changed.append(copy)
    return changed


def output_dtypes(each: node_def_pb2.NodeDef, case: Case) -> list[int]:
    """Dtypes of a node's outputs; none where nobody knows."""
    signatures = {name: function.signature for name, function in case.functions.items()}
    try:
        return definitions.output_dtypes(each, signatures)
    except (FormatError, ValueError):
        return []


def is_registered(op: str) -> bool:
    """Whether TensorFlow has it."""
    return private_tf.op_def(op) is not None
