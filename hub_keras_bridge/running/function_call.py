"""A call of a signature as a part of a function that is being built.

A function may run all of its ops, so that only what the call needs goes in. What
is outside, variables and tables, is captured.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Mapping

import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.graphs import library
from hub_keras_bridge.plans import safe_mode
from hub_keras_bridge.plans.endpoint import Endpoint
from hub_keras_bridge.plans.plan import Plan
from hub_keras_bridge.plans.trust import Trust
from hub_keras_bridge.running.importing import import_graph


def add_call(
    endpoint: Endpoint,
    given: Mapping[str, tf.Tensor],
    name: str,
    outside: Callable[[Plan], Mapping[str, tf.Tensor]],
    trust: Trust,
    *,
    training: bool,
) -> list[tf.Tensor]:
    """Adds a call to the current graph, and its update ops to UPDATE_OPS.

    Args:
        endpoint: which outputs of which signature.
        given: tensor of the signature -> tensor of the current graph.
        name: of the name scope for it, in the current one; numbered if it is taken.
        outside: of a plan, placeholder -> the tensor that it stands for.
        trust: what may reach outside the module.
        training: whether the update ops that the signature feeds are added.

    Returns:
        The outputs, flat.
    """
    chosen = endpoint.call(training=training)
    with tf.name_scope(name) as scope:
        pass  # What is captured does not belong in it.
    outputs, updates = add_plan(chosen, given, scope, outside, trust)
    for update in updates:
        tf.compat.v1.add_to_collection(tf.compat.v1.GraphKeys.UPDATE_OPS, update)
    return outputs


def add_plan(
    chosen: Plan,
    given: Mapping[str, tf.Tensor],
    scope: str,
    outside: Callable[[Plan], Mapping[str, tf.Tensor]],
    trust: Trust,
) -> tuple[list[tf.Tensor], list[tf.Operation]]:
    """Adds a plan to the current graph, in an absolute name scope; as :func:`add_call`.

    Returns:
        What the plan fetches, and its update ops.
    """
    fed = {placeholder: given[tensor] for tensor, placeholder in chosen.inputs.items()}
    safe_mode.require_safe([chosen], chosen.subject, trust)  # before its tables are made
    fed = {p: _known_here(tensor) for p, tensor in {**outside(chosen), **fed}.items()}
    return import_graph(_with_own_functions(chosen), fed, trust, scope)


def _with_own_functions(chosen: Plan) -> Plan:
    """The plan with function names of its own.

    Applications of one module may be differentiated in different ways; a
    session's graph would then have two functions of one name.
    """
    if not chosen.graph_def.library.function:
        return chosen
    graph_def = graph_pb2.GraphDef()
    graph_def.CopyFrom(chosen.graph_def)
    library.rename_functions(graph_def, salt=uuid.uuid4().hex)
    return dataclasses.replace(chosen, graph_def=graph_def)


def _known_here(tensor: tf.Tensor) -> tf.Tensor:
    """A tensor from outside, captured if a function is being built."""
    current = tf.compat.v1.get_default_graph()
    # An eager tensor has no graph.
    return tensor if getattr(tensor, "graph", None) is current else private_tf.capture(tensor)
