"""Calls in Keras's stateless form: on values that are given, with new ones given back."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import tensorflow as tf

from hub_keras_bridge.compat import keras as private_keras
from hub_keras_bridge.plans.plan import Plan
from hub_keras_bridge.plans.program import Program
from hub_keras_bridge.running.runtime import Runtime


def run_stateless(
    runtime: Runtime,
    program: Program,
    chosen: Plan,
    inputs: Mapping[str, tf.Tensor],
    variables: Mapping[str, keras.Variable],
) -> list[tf.Tensor]:
    """What a plan fetches, in a ``keras.StatelessScope``, which is told of the new values.

    Args:
        runtime: of the module.
        program: of the plan's variant.
        chosen: the plan.
        inputs: tensors of the signature, by name.
        variables: the layer's weights, by node.

    Raises:
        BackendError: the plan needs variables, not values alone.
    """
    function = runtime.function_of_values(program, chosen)
    outputs, new = function(inputs, lambda node: private_keras.current_value(variables[node]))
    for node, value in new.items():
        variables[node].assign(value)
    return outputs
