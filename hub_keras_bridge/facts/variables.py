"""What variables a graph has, read from its collections and nodes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.framework import node_def_pb2, variable_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from hub_keras_bridge.errors import FormatError, Subject, damaged
from hub_keras_bridge.facts import partitions
from hub_keras_bridge.graphs import collections, graph

V = TypeVar("V")

_KEYS = tf.compat.v1.GraphKeys
_VARIABLE_COLLECTIONS = (
    _KEYS.GLOBAL_VARIABLES,
    _KEYS.MODEL_VARIABLES,
    _KEYS.TRAINABLE_VARIABLES,
)

# What tensors of these are leads to values elsewhere; no checkpoint has any.
_WITHOUT_VALUES = (tf.resource, tf.variant)


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


def read_variables(
    meta_graph: meta_graph_pb2.MetaGraphDef,
    nodes: Mapping[str, node_def_pb2.NodeDef],
    subject: Subject,
) -> tuple[VariableFacts, ...]:
    """All variables of a graph in the order of their collections; slices in slice order.

    Args:
        meta_graph: as published, for its collections.
        nodes: of the graph in terms of resource variables, by name.
        subject: for messages.

    Raises:
        FormatError: a variable has no node, no fixed shape, no values or not all slices.
    """
    listed = {
        collection: {d.variable_name: d for d in _variable_defs(meta_graph, collection, subject)}
        for collection in _VARIABLE_COLLECTIONS
    }
    defs = {name: d for members in listed.values() for name, d in members.items()}
    found = tuple(
        _facts(definition, {c for c, members in listed.items() if name in members}, nodes, subject)
        for name, definition in defs.items()
    )
    _check_slices(found, subject)
    return found


def _check_slices(variables: Iterable[VariableFacts], subject: Subject) -> None:
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
            raise damaged(
                f"Cannot use partitioned variable {name!r} of a TF1 Hub module.",
                subject,
                expected=f"slices that together make up its shape {list(full or ())}",
                found=found,
            )


def _variable_defs(
    meta_graph: meta_graph_pb2.MetaGraphDef, collection: str, subject: Subject
) -> list[variable_pb2.VariableDef]:
    values = collections.protos(meta_graph, collection)
    try:
        return [variable_pb2.VariableDef.FromString(value) for value in values]
    except DecodeError as error:
        raise damaged(
            f"Cannot read collection {collection!r} of a TF1 Hub module.",
            subject,
            expected="serialized VariableDef messages",
            found=str(error),
        ) from error


def _facts(
    definition: variable_pb2.VariableDef,
    listed_in: Collection[str],
    nodes: Mapping[str, node_def_pb2.NodeDef],
    subject: Subject,
) -> VariableFacts:
    node = nodes.get(graph.node_name(definition.variable_name))
    if node is None or node.op != "VarHandleOp":
        raise damaged(
            f"Cannot use variable {definition.variable_name!r} of a TF1 Hub module.",
            subject,
            expected="a variable node of this name in the graph",
            found=f"a node of type {node.op}" if node else "no such node",
        )
    shape = tf.TensorShape(node.attr["shape"].shape)
    if not shape.is_fully_defined():
        raise FormatError(
            f"Cannot use variable {node.name!r} of a TF1 Hub module: its shape is not fixed.",
            subject,
            expected="a static shape",
            found=str(shape),
            advice="publish the module again with validate_shape=True",
        )
    dtype = tf.as_dtype(node.attr["dtype"].type)
    if dtype in _WITHOUT_VALUES or dtype != dtype.base_dtype:
        raise damaged(
            f"Cannot use variable {node.name!r} of a TF1 Hub module: it holds no values.",
            subject,
            expected="a dtype of numbers, strings or booleans",
            found=dtype.name,
        )
    part = definition.save_slice_info_def
    return VariableFacts(
        node=node.name,
        name=part.full_name or node.name,
        shape=tuple(shape.as_list()),
        dtype=dtype,
        trainable=_KEYS.TRAINABLE_VARIABLES in listed_in,
        full_shape=tuple(part.full_shape) if part.full_name else None,
        offset=tuple(part.var_offset) if part.full_name else None,
        initializer=definition.initializer_name,
        initial_value=_initial_value(definition, nodes),
        is_model_variable=_KEYS.MODEL_VARIABLES in listed_in,
        is_global=_KEYS.GLOBAL_VARIABLES in listed_in,
    )


def _initial_value(
    definition: variable_pb2.VariableDef, nodes: Mapping[str, node_def_pb2.NodeDef]
) -> str:
    """What the initializer assigns; early publishers did not name it."""
    if definition.initial_value_name:
        return graph.tensor_name(definition.initial_value_name)
    assign = nodes.get(graph.node_name(definition.initializer_name))
    return graph.tensor_name(assign.input[1]) if assign else ""
