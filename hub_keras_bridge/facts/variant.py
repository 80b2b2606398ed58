"""One graph variant of a module: facts read from its MetaGraphDef.

A variant is known by its tags. It has signatures, variables, tables with
their initializers, update ops, regularization losses and assets; collections
name them (``tf.compat.v1.GraphKeys``). Reading them builds no graph.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property, lru_cache, partial

import tensorflow as tf
from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.errors import FormatError, SignatureError, Subject, damaged
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.facts.inner_tensors import InnerTensors
from hub_keras_bridge.facts.signatures import DEFAULT_SIGNATURE, SignatureFacts
from hub_keras_bridge.facts.tensor_protos import parse_tensor_info
from hub_keras_bridge.facts.variables import VariableFacts, read_variables
from hub_keras_bridge.files import module_folder
from hub_keras_bridge.graphs import collections, graph, library, published
from hub_keras_bridge.graphs.calls import check_calls
from hub_keras_bridge.graphs.legacy import modernize
from hub_keras_bridge.graphs.ops.unregistered import need_registered
from hub_keras_bridge.graphs.prune import Walk, walk
from hub_keras_bridge.graphs.refusing import refusing

# How a graph is refused whose nodes do not fit each other.
_GRAPH = (
    "Cannot read the graph of a TF1 Hub module.",
    "nodes with the inputs and attributes that their ops have",
)

# Each initializer of a table runs in a graph of its own. Modules have a few, of a
# few nodes each.
MOST_FILLING_NODES = 50_000

# A question is followed to see whether it is complete, to find its tables and to plan it.
_WALKS_KEPT = 8

_KEYS = tf.compat.v1.GraphKeys


class Variant:
    """Reads one MetaGraphDef.

    Args:
        meta_graph: as published; not to be changed afterwards.
        subject: the module, for messages.
        made_here: whether this program made it.
    """

    def __init__(
        self, meta_graph: meta_graph_pb2.MetaGraphDef, subject: Subject, *, made_here: bool = False
    ) -> None:
        self.made_here = made_here
        self.tags = frozenset(meta_graph.meta_info_def.tags)
        self.subject = subject.with_tags(self.tags)
        self.published = meta_graph
        self._signatures: dict[str, SignatureFacts] = {}

    @cached_property
    def meta_graph(self) -> meta_graph_pb2.MetaGraphDef:
        """The graph in terms that a TensorFlow 2 function can run."""
        with refusing(self.subject, *_GRAPH):
            collections.check(self.published, self.subject)
            return modernize(self.published)

    def with_files(
        self, assets: Mapping[str, str], without: Collection[str] | None = None
    ) -> meta_graph_pb2.MetaGraphDef:
        """The whole graph as published, to be imported where its files are these.

        Args:
            assets: file name below ``assets/`` -> path of the file.
            without: nodes that are not to be there, nor functions that nothing else
                calls; placeholders stand for them. None for all that was published.

        Raises:
            UnknownOpError: TensorFlow lacks an op.
            FormatError: the graph has functions that TensorFlow would not survive.
        """
        meta_graph = self.published
        collections.check(meta_graph, self.subject)
        if without is not None:
            with refusing(self.subject, *_GRAPH):
                meta_graph = published.without(meta_graph, without)
                if not self.made_here:
                    own = library.with_own_gradients(meta_graph.graph_def)
                    meta_graph.graph_def.CopyFrom(own)
        need_registered(meta_graph.graph_def, self.subject)
        with refusing(self.subject):
            check_calls(meta_graph.graph_def)
        paths = {tensor: assets[name] for tensor, name in self.assets.items()}
        return published.with_files(meta_graph, paths)

    @cached_property
    def nodes(self) -> dict[str, node_def_pb2.NodeDef]:
        """The nodes of ``meta_graph`` by name."""
        found = graph.nodes_by_name(self.meta_graph.graph_def)
        if len(found) != len(self.meta_graph.graph_def.node):
            counts = Counter(node.name for node in self.meta_graph.graph_def.node)
            (name, _) = counts.most_common(1)[0]
            raise damaged(
                "Cannot read the graph of a TF1 Hub module: names of nodes are not unique.",
                self.subject,
                expected="a name of its own for each node",
                found=f"several nodes named {name!r}",
            )
        return found

    @cached_property
    def inner_tensors(self) -> InnerTensors:
        """The tensors of ``published``, whether a signature names them or not."""
        return InnerTensors(self.published.graph_def)

    @cached_property
    def order(self) -> dict[str, int]:
        """Name of a node -> its place in the graph."""
        return {name: place for place, name in enumerate(self.nodes)}

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self.published.signature_def)

    @cached_property
    def signature_names(self) -> list[str]:
        """Names of all signatures, sorted."""
        return sorted(self.published.signature_def)

    def signature(self, name: str | None) -> SignatureFacts:
        """The signature of this name, ``"default"`` where it is None.

        Raises:
            SignatureError: there is none.
        """
        name = name or DEFAULT_SIGNATURE
        if name not in self._names:
            raise SignatureError(
                f"A {self.subject.kind} has no signature {name!r}.",
                self.subject,
                expected=f"one of {choices(self.signature_names)}",
                found=repr(name),
                advice="pass signature=... with a name from this list",
            )
        if name not in self._signatures:
            # The rewritten graph, since outputs may have moved to new nodes.
            self._signatures[name] = self._parse(name, self.meta_graph.signature_def[name])
        return self._signatures[name]

    @cached_property
    def input_specs(self) -> dict[str, tf.TensorSpec]:
        """Tensor that a signature has as an input -> its dtype and shape."""
        return {
            tensor: spec
            for facts in map(self.signature, self.signature_names)
            for tensor, spec in zip(facts.input_tensors, facts.input_specs, strict=True)
        }

    def published_signature(self, name: str) -> SignatureFacts:
        """A signature that is there, with the tensors of the graph as published."""
        return self._parse(name, self.published.signature_def[name])

    def _parse(self, name: str, definition: meta_graph_pb2.SignatureDef) -> SignatureFacts:
        with refusing(
            self.subject.with_signature(name),
            "Cannot read a signature of a TF1 Hub module.",
            "inputs and outputs with a dtype, a shape and the names of their tensors",
        ):
            return SignatureFacts(
                inputs={k: parse_tensor_info(v) for k, v in sorted(definition.inputs.items())},
                outputs={k: parse_tensor_info(v) for k, v in sorted(definition.outputs.items())},
            )

    @cached_property
    def variables(self) -> tuple[VariableFacts, ...]:
        """All variables in the order of the collection; slices in slice order."""
        with refusing(
            self.subject,
            "Cannot read the variables of a TF1 Hub module.",
            "a node with a shape and a dtype for each variable",
        ):
            return read_variables(self.published, self.nodes, self.subject)

    @cached_property
    def assets(self) -> dict[str, str]:
        """String tensor -> name of the file below ``assets/`` that it stands for."""
        entries = module_folder.asset_entries(self.published, self.subject)
        found = {graph.tensor_name(tensor): name for tensor, name in entries}
        named = set(map(graph.node_name, found))
        for node in self.published.graph_def.node if named else ():
            if node.name in named and not _holds_a_path(node):
                raise damaged(
                    "Cannot read the assets of a TF1 Hub module: a path of one is computed.",
                    self.subject,
                    expected=f"a constant of one string as node {node.name!r}",
                    found=f"a node of type {node.op}",
                )
        return found

    @cached_property
    def attachments(self) -> dict[str, bytes]:
        """Key -> serialized message of what the publisher attached."""
        return module_folder.attachments(self.published, self.subject)

    @cached_property
    def losses(self) -> tuple[str, ...]:
        """Tensors of REGULARIZATION_LOSSES."""
        return tuple(map(graph.tensor_name, self._node_list(_KEYS.REGULARIZATION_LOSSES)))

    @cached_property
    def update_ops(self) -> tuple[str, ...]:
        """Nodes of UPDATE_OPS, each once."""
        names = map(graph.node_name, self._node_list(_KEYS.UPDATE_OPS))
        return tuple(dict.fromkeys(names))

    @cached_property
    def table_initializers(self) -> tuple[str, ...]:
        """Nodes of TABLE_INITIALIZERS, each once."""
        names = map(graph.node_name, self._node_list(_KEYS.TABLE_INITIALIZERS))
        return tuple(dict.fromkeys(names))

    def _node_list(self, collection: str) -> Iterable[str]:
        return collections.nodes(self.meta_graph, collection)

    @cached_property
    def resources(self) -> frozenset[str]:
        """Nodes that make a stateful resource (a table) other than a variable."""
        return frozenset(node.name for node in self.nodes.values() if _makes_resource(node))

    @cached_property
    def variable_of(self) -> dict[str, VariableFacts]:
        """Tensor that is a variable's handle -> the variable."""
        return {f"{facts.node}:0": facts for facts in self.variables}

    @cached_property
    def state(self) -> dict[str, int]:
        """Tensors that are given to a function, with their dtypes' enums.

        The handles of variables and tables, and the paths of assets.
        """
        handles = [*self.variable_of, *(f"{node}:0" for node in self.resources)]
        found = dict.fromkeys(handles, int(tf.resource.as_datatype_enum))
        return found | dict.fromkeys(self.assets, int(tf.string.as_datatype_enum))

    @cached_property
    def _state_cut(self) -> graph.Cut:
        return graph.Cut(self.state)

    def cut(self, fed: Collection[str] = ()) -> graph.Cut:
        """What comes from outside of a function: the state, and what is fed besides."""
        if isinstance(fed, graph.Cut):
            return fed
        return graph.Cut([*self.state, *fed]) if fed else self._state_cut

    def walk(self, targets: Iterable[str], fed: Collection[str] = ()) -> Walk:
        """What a function runs for some targets.

        Raises:
            FormatError: something names a node that is not in the graph.
        """
        return self._walk(tuple(targets), self.cut(fed))

    @cached_property
    def _walk(self) -> Callable[[tuple[str, ...], graph.Cut], Walk]:
        return lru_cache(_WALKS_KEPT)(partial(walk, self.nodes, subject=self.subject))

    @cached_property
    def _filling_walks(self) -> dict[str, Walk]:
        walks, nodes = {}, 0
        for op in self.table_initializers:
            walks[op] = self.walk([op])
            nodes += len(walks[op].nodes)
            if nodes > MOST_FILLING_NODES:
                raise FormatError(
                    "Cannot use a TF1 Hub module: what fills its tables is too large.",
                    self.subject,
                    expected=f"at most {MOST_FILLING_NODES:,} nodes in the graphs of its "
                    "table initializers",
                    found=f"more than that in {len(walks):,} of {len(self.table_initializers):,}",
                    advice="fetch the module again; if it is intact, report this message",
                )
        return walks

    @cached_property
    def fillings(self) -> dict[str, list[str]]:
        """Node of a table -> the initializers that fill it."""
        found: dict[str, list[str]] = {}
        for op, each in self._filling_walks.items():
            for node in self._tables(each):
                found.setdefault(node, []).append(op)
        return found

    def filled(self, walks: Iterable[Walk]) -> dict[str, list[Walk]]:
        """Node of each table that some walks come to -> what runs to fill it.

        Tables that are read to fill others are among them.
        """
        waiting = [node for each in walks for node in self._tables(each)]
        found: dict[str, list[Walk]] = {}
        while waiting:
            node = waiting.pop()
            if node not in found:
                found[node] = [self._filling_walks[op] for op in self.fillings.get(node, ())]
                waiting.extend(other for each in found[node] for other in self._tables(each))
        return found

    def _tables(self, walked: Walk) -> list[str]:
        return sorted(self.resources.intersection(map(graph.node_name, walked.given)))


def _holds_a_path(node: node_def_pb2.NodeDef) -> bool:
    """Whether a node can be given the path of a file: a constant of one string."""
    value = node.attr["value"].tensor if "value" in node.attr else None
    return (
        node.op == "Const"
        and value is not None
        and value.dtype == tf.string.as_datatype_enum
        and not value.tensor_shape.dim
    )


def _makes_resource(node: node_def_pb2.NodeDef) -> bool:
    """Whether a node is the source of a shared resource.

    Such an op has no inputs, one output of dtype resource, and a
    ``shared_name`` to be found by.
    """
    if node.op == "VarHandleOp" or node.input:
        return False
    definition = private_tf.op_def(node.op)
    return (
        definition is not None
        and [arg.type for arg in definition.output_arg] == [tf.resource.as_datatype_enum]
        and any(attribute.name == "shared_name" for attribute in definition.attr)
    )
