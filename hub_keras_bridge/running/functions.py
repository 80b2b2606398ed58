"""The functions of a graph that is imported into a function, as if they were traced.

Its importer keeps of a function what runs, not a graph. ``tf.vectorized_map`` and
jacobians ask for that, and without it a call has no second derivative.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tensorflow as tf
from absl import logging
from tensorflow.core.framework import function_pb2, graph_pb2

from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.graphs import library

# Each graph of a function has all that it calls in it.
_MOST = 10_000


def add_functions(graph_def: graph_pb2.GraphDef) -> tuple[graph_pb2.GraphDef, list[Any]]:
    """Adds the functions of a graph to the current one.

    Args:
        graph_def: a graph with its functions.

    Returns:
        The graph that calls them, without them, and the functions. Nothing is changed
        of a graph where functions are ops themselves, as TensorFlow 1 called them, of
        one with a function that TensorFlow makes no graph of though it may run it, of
        one whose functions call others in long chains, nor for a graph that is no
        function's.
    """
    if not tf.inside_function() or library.has_functions_as_ops(graph_def):
        return graph_def, []
    functions = library.callees_first(graph_def.library)
    if _with_callees(functions) > _MOST:
        return graph_def, []
    try:
        return _with_functions(graph_def, functions)
    except (ValueError, tf.errors.OpError) as error:
        logging.warning("functions of a graph are left as they are: %s", error)
        return graph_def, []


def _with_callees(functions: Iterable[function_pb2.FunctionDef]) -> int:
    """How many functions there are, each with all that it calls, at any depth."""
    counts: dict[str, int] = {}
    for function in functions:
        called = set(library.calls(function.node_def, counts))
        counts[function.signature.name] = 1 + sum(counts[name] for name in called)
    return sum(counts.values())


def _with_functions(
    graph_def: graph_pb2.GraphDef, functions: Iterable[function_pb2.FunctionDef]
) -> tuple[graph_pb2.GraphDef, list[Any]]:
    made: dict[str, Any] = {}
    names: dict[str, str] = {}
    for function in functions:
        name = function.signature.name
        called = [made[each] for each in set(library.calls(function.node_def, made))]
        library.call_by_names(function.node_def, names)
        made[name] = private_tf.function_of(function, called)
        names[name] = private_tf.name_of(made[name])
    result = graph_pb2.GraphDef()
    result.CopyFrom(graph_def)
    result.ClearField("library")
    library.call_by_names(result.node, names)
    for function in made.values():
        function.add_to_graph(tf.compat.v1.get_default_graph())
    return result, list(made.values())
