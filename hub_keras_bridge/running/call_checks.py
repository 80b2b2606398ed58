"""What every layer needs of the place that it is called in."""

from __future__ import annotations

import keras
import tensorflow as tf

from hub_keras_bridge.compat import keras as private_keras
from hub_keras_bridge.errors import BackendError, GraphModeError, Subject
from hub_keras_bridge.running import replicas


def need_eager_execution(
    problem: str, subject: Subject, *, advice: str, functions: str = "Keras or TensorFlow 2"
) -> None:
    """Checks that no TF1 graph is being built.

    Args:
        problem: what cannot be done in one, for the message.
        subject: the module.
        advice: what to do instead.
        functions: whose functions it works in.

    Raises:
        GraphModeError: one is.
    """
    if tf.executing_eagerly() or tf.inside_function():
        return
    raise GraphModeError(
        problem,
        subject,
        expected=f"eager execution, or a function of {functions}",
        found="a TF1 graph that is being built",
        advice=advice,
    )


def need_own_values(problem: str, layer: keras.layers.Layer, subject: Subject) -> None:
    """Checks that a layer's weights have the values that they hold.

    Args:
        problem: what cannot be done without, for the message.
        layer: the one that is called.
        subject: the module.

    Raises:
        BackendError: Keras gives them others, in a stateless call.
    """
    if private_keras.has_stand_ins(layer):
        raise BackendError(
            problem,
            subject,
            expected="a call with the values that the layer's weights hold",
            found="other values, given to stateless_call or keras.StatelessScope",
            advice="assign the values to layer.weights, then call the layer as usual",
        )


def need_own_strategy(layer: keras.layers.Layer, subject: Subject) -> None:
    """Checks that a layer's trained weights belong to the strategy in scope, if any.

    Raises:
        StrategyError: they do not.
    """
    if tf.distribute.has_strategy():
        trained = [private_keras.raw_variable(weight) for weight in layer.trainable_weights]
        replicas.need_own_strategy(trained, subject)
