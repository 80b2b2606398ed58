"""What this package makes of modules: the counterpart of ``answer.py``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from google.protobuf import empty_pb2

import hub_keras_bridge as hub
from original import exchange
from original.inputs import Inputs
from original.subjects import Lessons

Step = Callable[[dict[str, tf.Tensor], np.ndarray], float]


def facts(spec: hub.ModuleSpec) -> dict[str, Any]:
    """Tags, signatures and attachments of all variants."""
    return exchange.describe(
        spec,
        lambda tags: {
            key: spec.get_attached_message(key, empty_pb2.Empty, tags).SerializeToString().hex()
            for key in spec.variant(tags).attachments
        },
    )


def variables(layer: hub.ModuleLayer) -> dict[str, Any]:
    """Name -> slice number -> value; a variable that is not partitioned is slice 0."""
    return {
        name: {
            str(number): np.asarray(part)
            for number, part in enumerate(held if isinstance(held, list) else [held])
        }
        for name, held in layer.variable_map.items()
    }


def apply(
    handle: str | hub.ModuleSpec, tags: frozenset[str], signature: str, inputs: Inputs
) -> dict[str, Any]:
    """All outputs of a signature."""
    layer = hub.ModuleLayer(handle, tags=tags, signature=signature, as_dict=True)
    return {key: exchange.to_parts(value) for key, value in layer(_tensors(inputs)).items()}


def layer_to_tune(handle: str | hub.ModuleSpec, lessons: Lessons) -> hub.ModuleLayer:
    return hub.ModuleLayer(
        handle,
        trainable=True,
        training_tags=lessons.tags,
        signature=lessons.signature,
        output_key=lessons.output,
    )


def tune(layer: hub.ModuleLayer, lessons: Lessons) -> list[float]:
    """Plain gradient descent, one step per batch; returns the loss before each step.

    Keras trains, if it can: it takes only inputs with a batch dimension, and
    the first of them has to be dense.
    """
    dense = all(
        np.ndim(parts.get("value")) > 0
        for inputs, _ in lessons.batches
        for parts in inputs.values()
    )
    optimizer = keras.optimizers.SGD(lessons.rate)
    step = _keras_step(layer, optimizer) if dense else _tape_step(layer, optimizer)
    return [step(_tensors(inputs), target["value"]) for inputs, target in lessons.batches]


def _keras_step(layer: hub.ModuleLayer, optimizer: keras.Optimizer) -> Step:
    model = LayerAlone(layer)
    model.compile(optimizer, "mse")

    def step(inputs: dict[str, tf.Tensor], target: np.ndarray) -> float:
        # Else Keras reports the mean over all steps so far.
        model.reset_metrics()
        return float(model.train_on_batch(inputs, target))

    return step


def _tape_step(layer: hub.ModuleLayer, optimizer: keras.Optimizer) -> Step:
    def step(inputs: dict[str, tf.Tensor], target: np.ndarray) -> float:
        with tf.GradientTape() as tape:
            output = layer(inputs, training=True)
            loss = tf.add_n([tf.reduce_mean(tf.square(output - target)), *layer.losses])
        weights = layer.trainable_weights
        optimizer.apply(tape.gradient(loss, [w.value for w in weights]), weights)
        return float(loss)

    return step


def _tensors(inputs: Inputs) -> dict[str, tf.Tensor]:
    return {name: exchange.to_tensor(parts) for name, parts in inputs.items()}


class LayerAlone(keras.Model):
    """A model that is one layer, with its inputs by name."""

    def __init__(self, layer: hub.ModuleLayer) -> None:
        super().__init__(autocast=False)
        self.layer = layer

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return self.layer(inputs, training=training)
