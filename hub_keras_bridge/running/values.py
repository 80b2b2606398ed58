"""Tensors as arrays."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from hub_keras_bridge.facts.feeding import Slot


def as_array(tensor: tf.Tensor, slot: Slot) -> np.ndarray:
    """A tensor's value, which it shares where it can.

    Args:
        tensor: of an input.
        slot: the input, for messages.

    Raises:
        InputError: the tensor has no value yet, in a function or a model that is built.
    """
    if not hasattr(tensor, "numpy"):
        raise slot.misfit(
            "a tensor without a value, of a function or model that is being built",
            "call what hub.compile() returns on values, outside of functions; models and "
            "functions take a hub.ModuleLayer",
        )
    return np.asarray(tensor)
