"""Tensors of another dtype than an input has: converted where no value is lost by it.

Where the dtypes do not settle that, the values are looked at: at once where they are
known, else in the graph, whenever it runs. XLA leaves such checks out of what it
compiles, so that there nothing is converted that would need one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.errors import HubError
from hub_keras_bridge.facts import input_advice
from hub_keras_bridge.facts.lossless import Fit, fit, misfits, real_parts

# From what was found and what to do to the error for it.
Misfit: TypeAlias = Callable[[str, str], HubError]

# Where the value stands in the text: no name and no advice has this character.
_VALUE = "\0"


def converted(tensor: tf.Tensor, dtype: tf.DType, misfit: Misfit) -> tf.Tensor:
    """A tensor in another dtype.

    >>> def misfit(found, advice):
    ...     return InputError("Cannot feed it.", found=found, advice=advice)
    >>> converted(tf.constant([7], tf.int64), tf.int32, misfit).dtype
    tf.int32

    Args:
        tensor: of numbers, truth values or text.
        dtype: the one it is to have.
        misfit: makes the error.

    Raises:
        InputError: a value is lost, as far as that is known. In a graph, running it
            raises ``tf.errors.InvalidArgumentError`` with the same text.
    """
    fits = fit(tensor.dtype, dtype)
    if fits is Fit.NEVER:
        raise misfit(f"dtype {tensor.dtype.name}", input_advice.to_convert(tensor, dtype))
    if fits is Fit.ALWAYS:
        return tensor if tensor.dtype == dtype else tf.cast(tensor, dtype)
    if hasattr(tensor, "numpy"):
        _look_at(tensor, dtype, misfit)
        return tf.cast(tensor, dtype)
    if private_tf.inside_xla():
        found = f"dtype {tensor.dtype.name}, in a function that XLA compiles without checks"
        raise misfit(found, input_advice.for_xla(dtype))
    with tf.name_scope("check_of_values"):
        check = _check(tensor, dtype, misfit)
    with tf.control_dependencies([check]):
        return tf.cast(tensor, dtype)


def _look_at(tensor: tf.Tensor, dtype: tf.DType, misfit: Misfit) -> None:
    # Of an eager tensor that a function captures, too, the values are known.
    with tf.init_scope():
        values = real_parts(tensor)
        lost = misfits(values, dtype)
        if tf.reduce_any(lost):
            first = tf.boolean_mask(values, lost)[0].numpy()
            raise _lost(tensor.dtype, str(first), dtype, misfit)


def _check(tensor: tf.Tensor, dtype: tf.DType, misfit: Misfit) -> tf.Operation:
    values = real_parts(tensor)
    lost = misfits(values, dtype)
    least = -np.inf if values.dtype.is_floating else values.dtype.min
    largest = tf.reduce_max(tf.where(lost, values, tf.constant(least, values.dtype)))
    error = _lost(tensor.dtype, _VALUE, dtype, misfit)
    # A graph is exported and passed on, the handle's path is not.
    error.subject = dataclasses.replace(error.subject, module=None)
    before, _, after = str(error).partition(_VALUE)
    # XLA has no kernel for it: what was traced outside and is called in there fails, and
    # does not go on without the check.
    value = tf.strings.as_string(largest, shortest=values.dtype.is_floating)
    fine = tf.logical_not(tf.reduce_any(lost))
    return tf.raw_ops.Assert(condition=fine, data=[tf.strings.join([before, value, after])])


def _lost(found: tf.DType, value: str, dtype: tf.DType, misfit: Misfit) -> HubError:
    text = f"{found.name} with the value {value}, which {dtype.name} does not hold"
    return misfit(text, input_advice.to_fit(found, dtype))
