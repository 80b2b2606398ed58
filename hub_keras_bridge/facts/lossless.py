"""Which values are the same ones in another dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf


def may_widen(dtype: tf.DType, to: tf.DType) -> bool:
    """Whether values of a dtype all fit a wider one of the same kind.

    >>> may_widen(tf.float32, tf.float64), may_widen(tf.int64, tf.int32)
    (True, False)
    """
    same_kind = (dtype.is_floating and to.is_floating) or (dtype.is_integer and to.is_integer)
    return same_kind and dtype.size < to.size


def fitted_to(array: np.ndarray | np.generic, dtype: tf.DType) -> np.ndarray | np.generic | None:
    """An array that TensorFlow converts to a dtype without losing anything, None if it cannot.

    TensorFlow rounds float64 to float32, as everywhere; but it also cuts fractions,
    imaginary parts and high bits off, and parses strings, all without a word.
    """
    if dtype == tf.string:
        return array  # TensorFlow itself refuses what does not fit.
    if np.can_cast(array.dtype, dtype.as_numpy_dtype, "same_kind"):
        return None if exceeds(array, dtype) else array
    if array.dtype.kind not in "biuf":
        return None
    with np.errstate(invalid="ignore"):
        converted = np.asarray(array).astype(dtype.as_numpy_dtype)
    return converted if np.array_equal(converted, np.asarray(array)) else None


def overflows(value: Any, dtype: tf.DType) -> bool:
    """Whether TensorFlow would cut high bits off integers in lists."""
    if not dtype.is_integer:
        return False
    try:
        return exceeds(np.asarray(value), dtype)
    except (ValueError, NotImplementedError):
        return False  # Uneven rows, or tensors of a graph: TensorFlow's to check.


def exceeds(array: np.ndarray | np.generic, dtype: tf.DType) -> bool:
    """Whether integers in an array are too large or small for a dtype of integers.

    >>> exceeds(np.array([2**40]), tf.int32), exceeds(np.array([5]), tf.int32)
    (True, False)
    """
    if not dtype.is_integer or array.dtype.kind not in "iu" or array.size == 0:
        return False
    return bool(array.min() < dtype.min or array.max() > dtype.max)
