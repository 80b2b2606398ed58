"""The shapes of a signature's outputs, where its input's shapes are known."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from hub_keras_bridge.plans.endpoint import Endpoint
from hub_keras_bridge.plans.plan import Question
from hub_keras_bridge.plans.trust import Trust
from hub_keras_bridge.running.importing import import_plan


def inferred_outputs(
    endpoint: Endpoint, input_shapes: Mapping[str, tf.TensorShape], trust: Trust
) -> list[tf.TensorSpec]:
    """Specs of the flat outputs for dense inputs of these shapes.

    Builds a scratch graph, since a signature often leaves open what its
    graph derives from the input. TensorFlow may run what is constant there.

    Raises:
        UnsafeModuleError: what is not trusted may reach outside.
    """
    facts = endpoint.facts
    specs = [
        tf.TensorSpec(
            input_shapes[name].merge_with(spec.shape) if name in input_shapes else spec.shape,
            spec.dtype,
        )
        for name, info in facts.inputs.items()
        for spec in info.component_specs
    ]
    tensors = facts.input_tensors
    fetches, shapes = facts.fetches(endpoint.outputs)
    question = Question(tuple(fetches), tuple(tensors), shapes=tuple(shapes), cut_state=False)
    chosen = endpoint.program.plan(question)
    with tf.Graph().as_default():
        given = {
            tensor: tf.compat.v1.placeholder(spec.dtype, spec.shape)
            for tensor, spec in zip(tensors, specs, strict=True)
        }
        input_map = {chosen.inputs[t]: given[t] for t in tensors if t in chosen.inputs}
        found = import_plan(chosen, input_map, trust)
    return [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in found]
