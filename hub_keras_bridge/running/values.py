"""Tensors whose values are known."""

from __future__ import annotations

import tensorflow as tf

from hub_keras_bridge.facts.feeding import Slot


def with_value(tensor: tf.Tensor, slot: Slot) -> tf.Tensor:
    """The tensor, if it has a value.

    Args:
        tensor: of an input.
        slot: the input, for messages.

    Raises:
        InputError: it has none yet, in a function or a model that is built.
    """
    if not hasattr(tensor, "numpy"):
        raise slot.misfit(
            "a tensor without a value, of a function or model that is being built",
            "call what hub.compile() returns on values, outside of functions; models and "
            "functions take a hub.ModuleLayer",
        )
    return tensor
