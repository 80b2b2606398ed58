"""Which values are the same ones in another dtype: the one rule of what is converted.

For tensors it is told by two functions, :func:`fit` of dtypes and :func:`misfits` of
values. Lists and NumPy arrays TensorFlow converts, by a rule of its own, that is wider
in one point: what they have in more digits than a float of the signature is rounded.
"""

from __future__ import annotations

import enum
from typing import Any

import numpy as np
import tensorflow as tf

# How many binary digits of a whole number a float has.
_DIGITS = {tf.bfloat16: 8, tf.float16: 11, tf.float32: 24, tf.float64: 53}


class Fit(enum.Enum):
    """Whether values of a dtype are the same ones in another."""

    ALWAYS = enum.auto()
    BY_VALUE = enum.auto()
    NEVER = enum.auto()


def fit(dtype: tf.DType, to: tf.DType) -> Fit:
    """Whether the values of a tensor are the same ones in another dtype.

    A truth value is 0 or 1, a real number also a complex one.

    >>> fit(tf.uint8, tf.float32).name, fit(tf.int64, tf.int32).name
    ('ALWAYS', 'BY_VALUE')
    >>> fit(tf.string, tf.int32).name, fit(tf.complex64, tf.float32).name
    ('NEVER', 'NEVER')
    """
    if dtype == to:
        return Fit.ALWAYS
    if dtype.is_complex and not to.is_complex:
        return Fit.NEVER
    part, of = dtype.real_dtype, to.real_dtype
    if _always(part, of):
        return Fit.ALWAYS
    return Fit.BY_VALUE if _is_number(part) and _is_number(of) else Fit.NEVER


def _is_number(dtype: tf.DType) -> bool:
    return dtype.is_bool or dtype.is_integer or dtype in _DIGITS


def _always(dtype: tf.DType, to: tf.DType) -> bool:
    if dtype == to or (dtype.is_bool and _is_number(to)):
        return True
    if dtype.is_integer and to.is_integer:
        return bool(to.min <= dtype.min and dtype.max <= to.max)
    if dtype.is_integer:
        return _digits(dtype) <= _DIGITS.get(to, 0)
    return dtype.is_floating and to.is_floating and dtype.size < to.size


def _digits(integers: tf.DType) -> int:
    return int(integers.max).bit_length()


def misfits(values: tf.Tensor, to: tf.DType) -> tf.Tensor:
    """Which values of a tensor are others in a dtype.

    >>> misfits(tf.constant([7, 2**40], tf.int64), tf.int32).numpy().tolist()
    [False, True]
    >>> misfits(tf.constant([0.1, 0.5, np.nan], tf.float64), tf.float32).numpy().tolist()
    [True, False, False]

    Args:
        values: real numbers; of complex ones, see :func:`real_parts`.
        to: a dtype that they fit :attr:`Fit.BY_VALUE`.

    Returns:
        A tensor of truth values, of the same shape.
    """
    dtype, to = values.dtype, to.real_dtype
    if to.is_bool:
        neither = [tf.not_equal(values, tf.cast(bit, dtype)) for bit in (0, 1)]
        return tf.logical_and(*neither)
    if dtype.is_integer and to.is_integer:
        low, high = (tf.constant(n, dtype) for n in _common_range(dtype, to))
        return tf.logical_or(tf.less(values, low), tf.greater(values, high))
    if dtype.is_floating and to.is_integer:
        same = tf.equal(tf.floor(values), values)
        return tf.logical_not(tf.logical_and(same, _within(values, to)))
    converted = tf.cast(values, to)
    same = tf.equal(tf.cast(converted, dtype), values)
    if dtype.is_floating:
        same = tf.logical_or(same, tf.math.is_nan(values))
    else:
        # What is beyond its range, a processor makes any integer of.
        same = tf.logical_and(same, _within(converted, dtype))
    return tf.logical_not(same)


def _common_range(dtype: tf.DType, to: tf.DType) -> tuple[int, int]:
    return max(int(dtype.min), int(to.min)), min(int(dtype.max), int(to.max))


def _within(floats: tf.Tensor, integers: tf.DType) -> tf.Tensor:
    """Which floats lie in the range of a dtype of integers; not a number does not."""
    wide = tf.cast(floats, tf.float64)
    low, beyond = float(integers.min), float(2 ** _digits(integers))
    return tf.logical_and(tf.greater_equal(wide, low), tf.less(wide, beyond))


def real_parts(values: tf.Tensor) -> tf.Tensor:
    """The values, or real and imaginary parts of complex ones."""
    if not values.dtype.is_complex:
        return values
    return tf.stack([tf.math.real(values), tf.math.imag(values)])


# --- lists and arrays ---


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
