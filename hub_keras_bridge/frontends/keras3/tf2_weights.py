"""The variables of a TF2 SavedModel as weights of a layer.

Where Keras computes with TensorFlow, they are the variables that the restored functions
have captured. Elsewhere they are variables of the framework, with the values of these.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hub_keras_bridge.compat import keras as private_keras
from hub_keras_bridge.errors import Subject
from hub_keras_bridge.facts.variables import VariableFacts
from hub_keras_bridge.frontends.keras3.pure_calls import new_seeds
from hub_keras_bridge.frontends.tf2.restored_model import RestoredModel
from hub_keras_bridge.running.backends.backend import Backend
from hub_keras_bridge.running.backends.widths import first_value


class Tf2Weights:
    """All variables of one SavedModel, in order.

    Args:
        facts: what is known of each.
        trained: the nodes of those that are trained.
        restored: what TensorFlow made of the SavedModel; None where it is not here.
        backend: what Keras computes with; None for TensorFlow.
        subject: the SavedModel, for messages.

    Raises:
        BackendError: a value is none that the framework can hold.

    Attributes:
        variables: the weights.
        seeds: where seeds come from; None where TensorFlow has its own.
    """

    def __init__(
        self,
        facts: Sequence[VariableFacts],
        trained: Collection[str],
        restored: RestoredModel | None,
        backend: Backend | None,
        subject: Subject,
    ) -> None:
        self._facts = facts
        self.variables: list[keras.Variable] = []
        self.seeds: keras.random.SeedGenerator | None = None
        there = [None] * len(facts) if restored is None else restored.variables
        named = list(zip(facts, there, strict=True))
        if backend is None:
            self.variables = [
                private_keras.HeldVariable(
                    _zeros(each) if held is None else held,
                    # Keras takes no slash in the name of a weight.
                    name=each.node.replace("/", "."),
                    trainable=each.node in trained,
                )
                for each, held in named
            ]
            return
        with backend.at_once(), private_keras.outside_stateless_scope():
            for each, held in named:
                value = first_value(_value(each, held), each, backend, subject)
                variable = keras.Variable(
                    backend.array(value),
                    dtype=value.dtype.name,
                    name=backend.weight_name(each.node),
                    trainable=each.node in trained,
                )
                self.variables.append(variable)
            self.seeds = new_seeds()

    @property
    def by_node(self) -> dict[str, keras.Variable]:
        """The weights by node."""
        return {each.node: v for each, v in zip(self._facts, self.variables, strict=True)}

    def listed(self, model: RestoredModel) -> list[tuple[VariableFacts, tf.Variable]]:
        """TensorFlow's variables, with what is known of each."""
        return list(zip(self._facts, model.variables, strict=True))

    def next_seed(self) -> Any:
        """A new seed, for a call elsewhere."""
        assert self.seeds is not None
        return self.seeds.next()

    def move_to(self, model: RestoredModel) -> None:
        """Stands for the variables of another restored SavedModel, which get their values."""
        if self.seeds is not None:
            self.tell(model)
            return
        for held, variable in zip(self.variables, model.variables, strict=True):
            held.move_to(variable)

    def tell(self, model: RestoredModel) -> None:
        """Gives TensorFlow's variables the values of now, where these are others."""
        if self.seeds is not None:
            for weight, variable in zip(self.variables, model.variables, strict=True):
                variable.assign(tf.cast(private_keras.to_numpy(weight), variable.dtype))


def _zeros(facts: VariableFacts) -> tf.Variable:
    """To be moved over when the SavedModel comes out of an archive."""
    return tf.Variable(tf.zeros(facts.shape, facts.dtype), trainable=facts.trainable)


def _value(facts: VariableFacts, held: tf.Variable | None) -> np.ndarray:
    return np.zeros(facts.shape, facts.dtype.as_numpy_dtype) if held is None else held.numpy()
