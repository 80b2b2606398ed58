"""Ops of a graph that this process does not have."""

from __future__ import annotations

from collections.abc import Iterable

import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.compat import tf_errors
from hub_keras_bridge.errors import Subject
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.graphs import library
from hub_keras_bridge.graphs.ops.packages import advice_about


def unregistered(graph_def: graph_pb2.GraphDef) -> list[str]:
    """Ops of a graph, and of the functions that it calls, that are not registered."""
    return _unknown(_used(graph_def))


def _used(graph_def: graph_pb2.GraphDef) -> set[str]:
    called = library.reachable(graph_def.library, graph_def.node).function
    bodies = (node for function in called for node in function.node_def)
    functions = {function.signature.name for function in called}
    return {node.op for node in (*graph_def.node, *bodies)} - functions


def _unknown(ops: Iterable[str]) -> list[str]:
    return sorted(op for op in ops if private_tf.op_def(op) is None)


def need_registered(graph_def: graph_pb2.GraphDef, subject: Subject) -> set[str]:
    """Checks that TensorFlow has all ops of a graph and of the functions that it calls.

    Returns:
        These ops, by name.

    Raises:
        UnknownOpError: it has not; the package is named that has.
    """
    used = _used(graph_def)
    if unknown := _unknown(used):
        raise tf_errors.UnknownOpError(
            f"Cannot run a {subject.kind}: it uses ops that are not registered.",
            subject,
            expected=f"ops of TensorFlow {tf.__version__} and of the packages imported so far",
            found=choices(unknown),
            advice=advice_about(unknown),
        )
    return used
