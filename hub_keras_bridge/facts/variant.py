"""One graph variant of a module: facts read from its MetaGraphDef.

A variant is known by its tags. It has signatures, variables, tables with
their initializers, update ops, regularization losses and assets; collections
name them (``tf.compat.v1.GraphKeys``). Reading them builds no graph.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.framework import node_def_pb2, variable_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.errors import FormatError, SignatureError, Subject, choices
from hub_keras_bridge.facts import partitions
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.facts.tensor_protos import parse_tensor_info
from hub_keras_bridge.files import module_folder
from hub_keras_bridge.graphs import graph, library, published
from hub_keras_bridge.graphs.calls import check_calls
from hub_keras_bridge.graphs.legacy import modernize
from hub_keras_bridge.graphs.ops.unregistered import need_registered
from hub_keras_bridge.graphs.prune import Walk, walk
from hub_keras_bridge.graphs.refusing import refusing

V = TypeVar("V")

_KEYS = tf.compat.v1.GraphKeys
_VARIABLE_COLLECTIONS = (
    _KEYS.GLOBAL_VARIABLES,
    _KEYS.MODEL_VARIABLES,
    _KEYS.TRAINABLE_VARIABLES,
)

# What tensors of these are leads to values elsewhere; no checkpoint has any.
_WITHOUT_VALUES = (tf.resource, tf.variant)

# How a graph is refused whose nodes do not fit each other.
_GRAPH = (
    "Cannot read the graph of a TF1 Hub module.",
    "nodes with the inputs and attributes that their ops have",
)

# Each initializer of a table runs in a graph of its own. Modules have a few, of a
# few nodes each.
MOST_FILLING_NODES = 50_000

DEFAULT_SIGNATURE = "default"
DEFAULT_KEY = "default"


@dataclass(frozen=True)
class VariableFacts:
    """One TF1 variable, or one slice of a partitioned one.

    Attributes:
        node: the variable's node in the graph, e.g. ``emb/part_0``.
        name: its TF1 name, which is its key in the checkpoint; the slices of a
            partitioned variable share one, e.g. ``emb``.
        shape: of this slice, in full.
        dtype: TensorFlow dtype.
        trainable: whether it is in TRAINABLE_VARIABLES.
        full_shape: of the partitioned variable; None where there are no slices.
        offset: where in it this slice begins.
        initializer: the op that sets its initial value.
        initial_value: the tensor that it sets it to.
        is_model_variable: whether it is in MODEL_VARIABLES.
        is_global: whether it is in GLOBAL_VARIABLES; a Saver saves no other.
    """

    node: str
    name: str
    shape: tuple[int, ...]
    dtype: tf.DType
    trainable: bool
    full_shape: tuple[int, ...] | None = None
    offset: tuple[int, ...] | None = None
    initializer: str = ""
    initial_value: str = ""
    is_model_variable: bool = False
    is_global: bool = True

    @property
    def slice_spec(self) -> str:
        """Which part of the checkpoint's tensor this is, as SaveV2 spells it.

        >>> VariableFacts("v/part_1", "v", (3, 2), tf.float32, True, (5, 2), (2, 0)).slice_spec
        '5 2 2,3:0,2'
        """
        if self.full_shape is None or self.offset is None:
            return ""
        full = " ".join(map(str, self.full_shape))
        extent = ":".join(f"{o},{s}" for o, s in zip(self.offset, self.shape, strict=True))
        return f"{full} {extent}"


def by_name(variables: Iterable[tuple[VariableFacts, V]]) -> dict[str, V | list[V]]:
    """TF1 name -> variable, or the list of a partitioned one's slices."""
    found: dict[str, V | list[V]] = {}
    for facts, variable in variables:
        if facts.full_shape is None:
            found[facts.name] = variable
        else:
            slices = found.setdefault(facts.name, [])
            assert isinstance(slices, list), "slices share a name with slices alone"
            slices.append(variable)
    return found


@dataclass(frozen=True)
class SignatureFacts:
    """Inputs and outputs of one signature, by name."""

    inputs: dict[str, ParsedTensorInfo]
    outputs: dict[str, ParsedTensorInfo]

    @property
    def input_tensors(self) -> list[str]:
        """The graph tensors that feed it, flat, in the order of ``inputs``."""
        return [
            graph.tensor_name(name) for info in self.inputs.values() for name in info.tensor_names
        ]

    @property
    def input_specs(self) -> list[tf.TensorSpec]:
        """Dense specs in the order of ``input_tensors``."""
        return [spec for info in self.inputs.values() for spec in info.component_specs]

    def fetches(self, outputs: Iterable[str]) -> tuple[list[str], list[tf.TensorShape]]:
        """The graph tensors of some outputs, flat, and their static shapes."""
        infos = [self.outputs[key] for key in outputs]
        names = [name for info in infos for name in info.tensor_names]
        return names, [spec.shape for info in infos for spec in info.component_specs]


class Variant:
    """Reads one MetaGraphDef.

    Args:
        meta_graph: as published; not to be changed afterwards.
        module: the module as messages call it.
        made_here: whether this program made it.
    """

    def __init__(
        self, meta_graph: meta_graph_pb2.MetaGraphDef, module: str, *, made_here: bool = False
    ) -> None:
        self.made_here = made_here
        self.tags = frozenset(meta_graph.meta_info_def.tags)
        self.subject = Subject(module, self.tags)
        self.published = meta_graph
        self._signatures: dict[str, SignatureFacts] = {}
        # Plans that were made to be looked at, until they are run (see plan.py).
        self.unused_plans: dict[object, object] = {}

    @cached_property
    def meta_graph(self) -> meta_graph_pb2.MetaGraphDef:
        """The graph in terms that a TensorFlow 2 function can run."""
        with refusing(self.subject, *_GRAPH):
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
            raise FormatError(
                "Cannot read the graph of a TF1 Hub module: names of nodes are not unique.",
                self.subject,
                expected="a name of its own for each node",
                found=f"several nodes named {name!r}",
                advice="fetch the module again; its graph is damaged",
            )
        return found

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
                f"A TF1 Hub module has no signature {name!r}.",
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
            facts = self._read_variables()
            self._check_slices(facts)
            return facts

    def _read_variables(self) -> tuple[VariableFacts, ...]:
        listed = {
            collection: {d.variable_name: d for d in self._variable_defs(collection)}
            for collection in _VARIABLE_COLLECTIONS
        }
        defs = {name: d for members in listed.values() for name, d in members.items()}
        return tuple(
            self._facts(definition, {c for c, members in listed.items() if name in members})
            for name, definition in defs.items()
        )

    def _check_slices(self, variables: Iterable[VariableFacts]) -> None:
        parts: dict[str, list[VariableFacts]] = {}
        for facts in variables:
            parts.setdefault(facts.name, []).append(facts)
        for name, slices in parts.items():
            full = slices[0].full_shape
            if full is None and len(slices) == 1:
                continue
            if full is None or any(part.full_shape != full for part in slices):
                found: str | None = "slices of several variables"
            else:
                found = partitions.fault(full, [(part.offset or (), part.shape) for part in slices])
            if found:
                raise FormatError(
                    f"Cannot use partitioned variable {name!r} of a TF1 Hub module.",
                    self.subject,
                    expected=f"slices that together make up its shape {list(full or ())}",
                    found=found,
                    advice="fetch the module again; its graph is damaged",
                )

    def _variable_defs(self, collection: str) -> list[variable_pb2.VariableDef]:
        if collection not in self.published.collection_def:
            return []
        values = self.published.collection_def[collection].bytes_list.value
        try:
            return [variable_pb2.VariableDef.FromString(value) for value in values]
        except DecodeError as error:
            raise FormatError(
                f"Cannot read collection {collection!r} of a TF1 Hub module.",
                self.subject,
                expected="serialized VariableDef messages",
                found=str(error),
                advice="fetch the module again; its graph is damaged",
            ) from error

    def _facts(
        self, definition: variable_pb2.VariableDef, collections: Collection[str]
    ) -> VariableFacts:
        node = self.nodes.get(graph.node_name(definition.variable_name))
        if node is None or node.op != "VarHandleOp":
            raise FormatError(
                f"Cannot use variable {definition.variable_name!r} of a TF1 Hub module.",
                self.subject,
                expected="a variable node of this name in the graph",
                found=f"a node of type {node.op}" if node else "no such node",
                advice="fetch the module again; its graph is damaged",
            )
        shape = tf.TensorShape(node.attr["shape"].shape)
        if not shape.is_fully_defined():
            raise FormatError(
                f"Cannot use variable {node.name!r} of a TF1 Hub module: its shape is not fixed.",
                self.subject,
                expected="a static shape",
                found=str(shape),
                advice="publish the module again with validate_shape=True",
            )
        dtype = tf.as_dtype(node.attr["dtype"].type)
        if dtype in _WITHOUT_VALUES or dtype != dtype.base_dtype:
            raise FormatError(
                f"Cannot use variable {node.name!r} of a TF1 Hub module: it holds no values.",
                self.subject,
                expected="a dtype of numbers, strings or booleans",
                found=dtype.name,
                advice="fetch the module again; its graph is damaged",
            )
        part = definition.save_slice_info_def
        return VariableFacts(
            node=node.name,
            name=part.full_name or node.name,
            shape=tuple(shape.as_list()),
            dtype=dtype,
            trainable=_KEYS.TRAINABLE_VARIABLES in collections,
            full_shape=tuple(part.full_shape) if part.full_name else None,
            offset=tuple(part.var_offset) if part.full_name else None,
            initializer=definition.initializer_name,
            initial_value=self._initial_value(definition),
            is_model_variable=_KEYS.MODEL_VARIABLES in collections,
            is_global=_KEYS.GLOBAL_VARIABLES in collections,
        )

    def _initial_value(self, definition: variable_pb2.VariableDef) -> str:
        """What the initializer assigns; early publishers did not name it."""
        if definition.initial_value_name:
            return graph.tensor_name(definition.initial_value_name)
        assign = self.nodes.get(graph.node_name(definition.initializer_name))
        return graph.tensor_name(assign.input[1]) if assign else ""

    @cached_property
    def assets(self) -> dict[str, str]:
        """String tensor -> name of the file below ``assets/`` that it stands for."""
        entries = module_folder.asset_entries(self.published, self.subject)
        found = {graph.tensor_name(tensor): name for tensor, name in entries}
        named = set(map(graph.node_name, found))
        for node in self.published.graph_def.node if named else ():
            if node.name in named and not _holds_a_path(node):
                raise FormatError(
                    "Cannot read the assets of a TF1 Hub module: a path of one is computed.",
                    self.subject,
                    expected=f"a constant of one string as node {node.name!r}",
                    found=f"a node of type {node.op}",
                    advice="fetch the module again; its graph is damaged",
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
        if collection not in self.meta_graph.collection_def:
            return []
        return self.meta_graph.collection_def[collection].node_list.value

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
        return walk(self.nodes, targets, self.cut(fed), self.subject)

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
