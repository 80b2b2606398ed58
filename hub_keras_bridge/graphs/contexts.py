"""What a MetaGraphDef tells of its v1 loops and conditionals besides their ops.

The collections COND_CONTEXT and WHILE_CONTEXT hold one message for each that is
not inside another (tensorflow/core/protobuf/control_flow.proto). TensorFlow
needs them to differentiate v1 control flow in a session's graph.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TypeAlias

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import control_flow_pb2, meta_graph_pb2

from hub_keras_bridge.errors import damaged
from hub_keras_bridge.graphs.graph import node_name

Context: TypeAlias = "control_flow_pb2.CondContextDef | control_flow_pb2.WhileContextDef"

_MESSAGES = {
    tf.compat.v1.GraphKeys.COND_CONTEXT: control_flow_pb2.CondContextDef,
    tf.compat.v1.GraphKeys.WHILE_CONTEXT: control_flow_pb2.WhileContextDef,
}


def undifferentiated_loops(meta_graph: meta_graph_pb2.MetaGraphDef) -> frozenset[str]:
    """Frames of the loops made with ``back_prop=False``.

    No gradient leaves such a loop; the graph's ops alone do not show it.
    """
    loops = filter(_is_loop, _all_contexts(meta_graph))
    return frozenset(loop.context_name for loop in loops if not loop.back_prop)


def has_nested_loops(meta_graph: meta_graph_pb2.MetaGraphDef) -> bool:
    """Whether there is a loop inside a loop."""
    loops = filter(_is_loop, _all_contexts(meta_graph))
    return any(_is_loop(inner) for loop in loops for inner in _within(loop))


def add_to_contexts(
    meta_graph: meta_graph_pb2.MetaGraphDef, added: Mapping[str, Collection[str]]
) -> None:
    """Puts new nodes into the contexts of others; changes the collections.

    Args:
        meta_graph: whose contexts.
        added: node -> new nodes that run where it does.
    """
    for key in _MESSAGES.keys() & meta_graph.collection_def.keys():
        contexts = list(_contexts(meta_graph, key))
        for context in contexts:
            _add(context, added)
        values = meta_graph.collection_def[key].bytes_list.value
        values[:] = [context.SerializeToString() for context in contexts]


def _outermost(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[Context]:
    for key in _MESSAGES:
        yield from _contexts(meta_graph, key)


def _contexts(meta_graph: meta_graph_pb2.MetaGraphDef, key: str) -> Iterator[Context]:
    if key in meta_graph.collection_def:
        for value in meta_graph.collection_def[key].bytes_list.value:
            try:
                yield _MESSAGES[key].FromString(value)
            except DecodeError as error:
                raise damaged(
                    f"Cannot read collection {key!r} of a TF1 Hub module.",
                    expected=f"serialized {_MESSAGES[key].DESCRIPTOR.name} messages",
                    found=str(error),
                ) from error


def _nested(context: Context) -> list[Context]:
    kinds = [(nested, nested.WhichOneof("ctxt")) for nested in context.nested_contexts]
    return [getattr(nested, kind) for nested, kind in kinds if kind]


def _all_contexts(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[Context]:
    for context in _outermost(meta_graph):
        yield context
        yield from _within(context)


def _within(context: Context) -> Iterator[Context]:
    """The contexts inside another, at any depth."""
    for nested in _nested(context):
        yield nested
        yield from _within(nested)


def _is_loop(context: Context) -> bool:
    return isinstance(context, control_flow_pb2.WhileContextDef)


def _add(context: Context, added: Mapping[str, Collection[str]]) -> None:
    names = context.values_def.values
    inside = dict.fromkeys(node_name(value) for value in names)
    names.extend(f"{new}:0" for node in inside for new in added.get(node, ()))
    for nested in _nested(context):
        _add(nested, added)
