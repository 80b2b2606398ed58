"""What a call of a layer needs of the values and the strategy around it."""

from __future__ import annotations

from collections.abc import Iterable

import keras
import tensorflow as tf

from hub_keras_bridge.compat import keras as private_keras
from hub_keras_bridge.errors import BackendError, Subject
from hub_keras_bridge.frontends.untracked import warn_of_untracked
from hub_keras_bridge.running import replicas


def need_own_values(weights: Iterable[keras.Variable], subject: Subject) -> None:
    """Checks that weights have the values that they hold.

    Args:
        weights: those of what is called.
        subject: what that is.

    Raises:
        BackendError: Keras gives them others, in a stateless call.
    """
    if private_keras.has_stand_ins(weights):
        raise BackendError(
            f"Cannot call a {subject.kind} in stateless form: its functions read its variables.",
            subject,
            expected="a call with the values that the layer's weights hold",
            found="other values, given to stateless_call or keras.StatelessScope",
            advice="assign the values to layer.weights, then call the layer as usual",
        )


def warn_if_untracked(layer: keras.layers.Layer, subject: Subject) -> None:
    """Warns, once, if a layer is trained in a model that does not know its weights.

    Args:
        layer: the one that is called.
        subject: the module.
    """
    warn_of_untracked(
        layer,
        lambda: map(private_keras.raw_variable, layer.trainable_weights),
        subject,
        f"make layer {layer.name!r} an attribute of a layer of your own in the model, which "
        "calls it; in a Lambda, Keras finds none",
    )


def need_own_strategy(layer: keras.layers.Layer, subject: Subject) -> None:
    """Checks that a layer's trained weights belong to the strategy in scope, if any.

    Args:
        layer: the one that is called.
        subject: the module.

    Raises:
        StrategyError: they do not.
    """
    if tf.distribute.has_strategy():
        trained = [private_keras.raw_variable(weight) for weight in layer.trainable_weights]
        replicas.need_own_strategy(trained, subject)
