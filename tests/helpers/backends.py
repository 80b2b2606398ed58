"""What tests ask of the framework that Keras computes with, whichever it is."""

import contextlib

import keras
import numpy as np

BACKEND = keras.backend.backend()


def numbers(value):
    """A tensor of any framework as an array."""
    return np.asarray(value) if BACKEND == "tensorflow" else keras.ops.convert_to_numpy(value)


def wide_numbers():
    """In it, arrays have 64 bits where TensorFlow's have."""
    if BACKEND != "jax":
        return contextlib.nullcontext()
    import jax

    return jax.enable_x64(True)
