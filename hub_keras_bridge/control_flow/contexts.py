"""What a MetaGraphDef tells of its loops besides their ops."""

from __future__ import annotations

from collections.abc import Iterable

import tensorflow as tf
from tensorflow.core.protobuf import control_flow_pb2, meta_graph_pb2

_KEYS = tf.compat.v1.GraphKeys


def undifferentiated_loops(meta_graph: meta_graph_pb2.MetaGraphDef) -> frozenset[str]:
    """Frames of the loops made with ``back_prop=False``.

    No gradient leaves such a loop; the graph's ops alone do not show it.
    """
    found: set[str] = set()
    for key, message in (
        (_KEYS.COND_CONTEXT, control_flow_pb2.CondContextDef),
        (_KEYS.WHILE_CONTEXT, control_flow_pb2.WhileContextDef),
    ):
        if key in meta_graph.collection_def:
            for value in meta_graph.collection_def[key].bytes_list.value:
                found.update(_undifferentiated(message.FromString(value)))
    return frozenset(found)


def _undifferentiated(
    context: control_flow_pb2.CondContextDef | control_flow_pb2.WhileContextDef,
) -> Iterable[str]:
    if isinstance(context, control_flow_pb2.WhileContextDef) and not context.back_prop:
        yield context.context_name
    for nested in context.nested_contexts:
        kind = nested.WhichOneof("ctxt")
        if kind:
            yield from _undifferentiated(getattr(nested, kind))
