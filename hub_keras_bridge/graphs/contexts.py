"""What a MetaGraphDef tells of its v1 loops and conditionals besides their ops.

The collections COND_CONTEXT and WHILE_CONTEXT hold one message for each that is
not inside another (tensorflow/core/protobuf/control_flow.proto). TensorFlow
needs them to differentiate v1 control flow in a session's graph.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TypeAlias

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import control_flow_pb2, meta_graph_pb2

from hub_keras_bridge.errors import FormatError, Subject
from hub_keras_bridge.graphs.graph import node_name, upstream

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


def needed_by_contexts(
    meta_graph: meta_graph_pb2.MetaGraphDef,
    nodes: Mapping[str, node_def_pb2.NodeDef],
    targets: Sequence[str],
    cut: Collection[str],
    subject: Subject,
) -> list[str]:
    """What to keep besides the targets, for the contexts of what they need.

    A loop is differentiated from its exits: without the exit of a loop variable
    that only other loop variables read, their gradient would lack a part.
    """
    contexts = list(_all_contexts(meta_graph))
    added: list[str] = []
    while True:
        needed = upstream(nodes, [*targets, *added], cut, subject)
        more = {
            node_name(name)
            for context in contexts
            if needed & {node_name(value) for value in _inside(context)}
            for name in _required(context)
        }
        more = (more & nodes.keys()) - needed
        if not more:
            return added
        added.extend(sorted(more))


def contexts_of(
    meta_graph: meta_graph_pb2.MetaGraphDef, kept: Collection[str]
) -> tuple[Context, ...]:
    """The contexts of a pruned graph, without what was pruned of them.

    Args:
        meta_graph: the whole graph.
        kept: names of the nodes that remain.
    """
    return tuple(context for context in _outermost(meta_graph) if _restrict(context, kept))


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
                raise FormatError(
                    f"Cannot read collection {key!r} of a TF1 Hub module.",
                    expected=f"serialized {_MESSAGES[key].DESCRIPTOR.name} messages",
                    found=str(error),
                    advice="fetch the module again; its graph is damaged",
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


def _inside(context: Context) -> set[str]:
    """Tensors of the ops in a context; its other values come from around it."""
    names = context.values_def
    return set(names.values) - set(names.external_values)


def _required(context: Context) -> list[str]:
    """What TensorFlow looks up when it restores or differentiates a context."""
    if not _is_loop(context):
        return [context.pivot_name, context.pred_name]
    pivots = [context.pivot_name, context.pivot_for_pred_name, context.pivot_for_body_name]
    return [*pivots, *context.loop_exit_names, *context.loop_enter_names]


def _restrict(context: Context, kept: Collection[str]) -> bool:
    """Drops from a context what was pruned; False if it is gone itself."""
    if node_name(context.pivot_name) not in kept:
        return False
    names = context.values_def
    names.values[:] = [value for value in names.values if node_name(value) in kept]
    for outer, inner in list(names.external_values.items()):
        if not {node_name(outer), node_name(inner)} <= set(kept):
            del names.external_values[outer]
    remaining = [
        nested
        for nested in context.nested_contexts
        if (kind := nested.WhichOneof("ctxt")) and _restrict(getattr(nested, kind), kept)
    ]
    del context.nested_contexts[:]
    context.nested_contexts.extend(remaining)
    return True


def _add(context: Context, added: Mapping[str, Collection[str]]) -> None:
    names = context.values_def.values
    inside = dict.fromkeys(node_name(value) for value in names)
    names.extend(f"{new}:0" for node in inside for new in added.get(node, ()))
    for nested in _nested(context):
        _add(nested, added)
