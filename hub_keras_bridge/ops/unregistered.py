"""Ops of a graph that this process does not have."""

from __future__ import annotations

from collections.abc import Iterable

import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2

from hub_keras_bridge import compat, tf_errors
from hub_keras_bridge.errors import Subject, choices
from hub_keras_bridge.graphs import library
from hub_keras_bridge.ops.packages import advice_about


def unregistered(graph_def: graph_pb2.GraphDef) -> list[str]:
    """Ops of a graph, and of the functions that it calls, that are not registered."""
    used = library.reachable(graph_def.library, graph_def.node)
    bodies = (node for function in used.function for node in function.node_def)
    functions = {function.signature.name for function in used.function}
    return sorted(_ops([*graph_def.node, *bodies]) - functions)


def _ops(nodes: Iterable[node_def_pb2.NodeDef]) -> set[str]:
    return {op for op in {node.op for node in nodes} if compat.op_def(op) is None}


def need_registered(graph_def: graph_pb2.GraphDef, subject: Subject) -> None:
    """Checks that TensorFlow has all ops of a graph and of the functions that it calls.

    Raises:
        UnknownOpError: it has not; the package is named that has.
    """
    if unknown := unregistered(graph_def):
        raise tf_errors.UnknownOpError(
            "Cannot run a TF1 Hub module: it uses ops that are not registered.",
            subject,
            expected=f"ops of TensorFlow {tf.__version__} and of the packages imported so far",
            found=choices(unknown),
            advice=advice_about(unknown),
        )
