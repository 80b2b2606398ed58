"""A call of a TF2 SavedModel as a function of its variables' values."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.errors import BackendError
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.frontends.tf2.traced_plan import TracedPlan
from hub_keras_bridge.graphs.refusing import refusing
from hub_keras_bridge.plans.of_values import of_values
from hub_keras_bridge.plans.trust import Trust
from hub_keras_bridge.running.function_of_values import FunctionOfValues, arguments
from hub_keras_bridge.running.importing import import_plan

_ADVICE = "use the layer with Keras on TensorFlow, or call it with training=False"


def function_of_values(traced: TracedPlan, trust: Trust) -> FunctionOfValues:
    """The function of a plan, on values of the variables that the SavedModel lists.

    Others have the values that they have now.

    Args:
        traced: the plan.
        trust: what may reach outside the SavedModel.

    Raises:
        BackendError: the plan needs variables, not values alone.
        UnsafeModuleError: something else may reach outside.
    """
    try:
        whole = of_values(traced.plan, traced, seeded=True)
    except BackendError as error:
        raise BackendError(
            f"Cannot call a {traced.plan.subject.kind} as a function of its weights: it needs more "
            "than their values.",
            traced.plan.subject,
            expected=error.expected,
            found=error.found,
            advice=_ADVICE,
        ) from error
    if written := traced.others.keys() & set(whole.written):
        raise BackendError(
            f"Cannot call a {whole.subject.kind} as a function of its weights: a call writes "
            "variables that it does not list.",
            whole.subject,
            expected="writes to variables that the SavedModel lists, if to any",
            found=choices(node.rpartition(":")[0] for node in sorted(written)),
            advice=_ADVICE,
        )
    listed = {node: p for node, p in whole.values.items() if node not in traced.others}
    chosen = dataclasses.replace(whole, values=listed)
    others = {
        whole.values[node]: tf.constant(variable.numpy())
        for node, variable in traced.others.items()
        if node in whole.values
    }
    given = arguments(chosen, traced)
    placeholders = [*chosen.inputs.values(), *chosen.values.values()]

    def body(*tensors: tf.Tensor) -> list[tf.Tensor]:
        outside = {**traced.outside, **others}
        input_map = {p: private_tf.capture(value) for p, value in outside.items()}
        input_map |= zip(placeholders, tensors, strict=True)
        return import_plan(chosen, input_map, trust)

    with tf.init_scope(), refusing(whole.subject):
        run = private_tf.wrap_function(body, [spec for _, spec in given])
    return FunctionOfValues(chosen, given, run)
