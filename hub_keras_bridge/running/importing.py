"""A plan's graph in TensorFlow's: looked at once more, then imported."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.graphs import library
from hub_keras_bridge.graphs.refusing import refusing
from hub_keras_bridge.plans import safe_mode
from hub_keras_bridge.plans.plan import Plan
from hub_keras_bridge.plans.trust import Trust
from hub_keras_bridge.running.functions import add_functions

_SCOPE = "module/"


def import_graph(
    chosen: Plan, input_map: Mapping[str, tf.Tensor], trust: Trust, scope: str = _SCOPE
) -> tuple[list[tf.Tensor], list[tf.Operation]]:
    """Imports a plan into the current graph.

    Args:
        chosen: the plan.
        input_map: placeholder -> tensor of the current graph; an output may be
            one of them.
        trust: what may reach outside the module.
        scope: absolute name scope to import into, with its slash.

    Returns:
        The tensors that the plan fetches and the ops that are its updates.

    Raises:
        FormatError: TensorFlow does not accept the graph.
        UnsafeModuleError: something else may reach outside.
    """
    safe_mode.require_safe([chosen], chosen.subject, trust)
    with refusing(chosen.subject):
        return _import_graph(chosen, input_map, trust, scope)


def _import_graph(
    chosen: Plan, input_map: Mapping[str, tf.Tensor], trust: Trust, scope: str
) -> tuple[list[tf.Tensor], list[tf.Operation]]:
    current = tf.compat.v1.get_default_graph()
    if chosen.graph_def.node:
        is_trusted = trust.everything or chosen.made_here
        own = chosen.graph_def if is_trusted else library.with_own_gradients(chosen.graph_def)
        graph_def, functions = add_functions(own)
        calls = [n.name for n in graph_def.node if n.op in private_tf.CALLS_AND_LOOPS]
        ops = tf.graph_util.import_graph_def(
            graph_def,
            name=scope,
            input_map=dict(input_map),
            return_elements=calls,
            producer_op_list=chosen.producer_ops,
        )
        private_tf.know_calls(ops, functions)
    fetched = [
        input_map[tensor] if tensor in input_map else current.get_tensor_by_name(scope + tensor)
        for tensor in chosen.fetches
    ]
    for tensor, shape in zip(fetched, chosen.shapes, strict=False):
        # The graph may not tell what the publisher knew; never trust a clash.
        if tensor.shape.is_compatible_with(shape):
            tensor.set_shape(shape)
    return fetched, [current.get_operation_by_name(f"{scope}{op}") for op in chosen.updates]


def import_plan(chosen: Plan, input_map: Mapping[str, tf.Tensor], trust: Trust) -> list[tf.Tensor]:
    """As :func:`import_graph`, with outputs that wait for the updates."""
    fetched, updates = import_graph(chosen, input_map, trust)
    if not updates:
        return fetched
    with tf.control_dependencies(updates):
        # Without fetches there must be something for the updates to hang on.
        return [tf.identity(tensor) for tensor in fetched] or [tf.constant(True)]
