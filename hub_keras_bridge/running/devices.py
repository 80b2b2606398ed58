"""TensorFlow's GPUs, where it runs beside the framework that Keras computes with.

When it starts, TensorFlow takes most of the memory of each GPU that it sees; so does JAX.
Of two that see the same one, the later fails.
"""

from __future__ import annotations

import os

import keras
import tensorflow as tf

from hub_keras_bridge.compat import tensorflow as private_tf

VARIABLE = "HUB_KERAS_BRIDGE_TENSORFLOW_GPUS"


def leave_gpus() -> None:
    """Leaves all GPUs to the framework that Keras computes with, if that is not TensorFlow.

    To be called before this package lets TensorFlow run anything. What was settled
    before stays: TensorFlow has started, or a program has chosen the GPUs that it sees. With
    ``HUB_KERAS_BRIDGE_TENSORFLOW_GPUS=1`` it sees them all.
    """
    if keras.backend.backend() == "tensorflow" or os.environ.get(VARIABLE, "0") != "0":
        return
    if private_tf.runs_eagerly():
        return
    if tf.config.get_visible_devices("GPU") == tf.config.list_physical_devices("GPU"):
        tf.config.set_visible_devices([], "GPU")
