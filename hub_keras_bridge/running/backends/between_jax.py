"""Arrays of JAX as tensors of TensorFlow, and back: in the same memory where both have it.

Neither writes into memory that the other refers to: JAX copies what it would otherwise
reuse, as where a program may take the place of its arguments (``donate_argnums``).
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import tensorflow as tf


def to_tensorflow(array: jax.Array) -> tf.Tensor:
    """An array with values as a tensor."""
    if _share_memory() and isinstance(array, jax.Array):
        return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
    return tf.constant(np.asarray(array))


def from_tensorflow(tensor: tf.Tensor) -> jax.Array:
    """A tensor with values as an array, which is on no device but by default."""
    return jax.dlpack.from_dlpack(tensor) if _share_memory() else jnp.asarray(np.asarray(tensor))


@functools.cache
def _share_memory() -> bool:
    """Whether there is one CPU for both and nothing else.

    With several devices such an array would be bound to the one that TensorFlow has.
    """
    return jax.device_count() == 1 and jax.default_backend() == "cpu" and not _has_gpu()


def _has_gpu() -> bool:
    return bool(tf.config.list_logical_devices("GPU"))
