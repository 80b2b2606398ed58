"""Which tensors are the same ones in another dtype, against Python's exact numbers."""

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf

from hub_keras_bridge.facts.lossless import Fit, fit, misfits

INTEGERS = [tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint16, tf.uint32, tf.uint64]
FLOATS = [tf.bfloat16, tf.float16, tf.float32, tf.float64]
REAL = [tf.bool, *INTEGERS, *FLOATS]
# Around all limits of ranges and of digits.
WHOLE = sorted(
    {sign * (2**n + d) for n in (0, 7, 8, 11, 15, 16, 24, 31, 32, 53, 63) for d in (-1, 0, 1)
     for sign in (-1, 1)} | {0, 2**64 - 1}
)  # fmt: skip
OTHERS = [0.5, -2.5, 0.1, 65504.0, 65536.0, 1e30, -1e300, math.inf, -math.inf, math.nan, -0.0]


def samples(dtype):
    """Values that the dtype holds, as Python has them."""
    if dtype.is_bool:
        return [0, 1]
    if dtype.is_integer:
        return [n for n in WHOLE if dtype.min <= n <= dtype.max]
    with np.errstate(over="ignore"):
        return [float(dtype.as_numpy_dtype(float(x))) for x in [*WHOLE, *OTHERS]]


def holds(dtype, value):
    """Whether a dtype has this very number."""
    if dtype.is_bool:
        return value in (0, 1)
    if dtype.is_integer:
        return math.isfinite(value) and value == int(value) and dtype.min <= value <= dtype.max
    with np.errstate(over="ignore"):
        found = float(dtype.as_numpy_dtype(float(value)))
    return found == value or (math.isnan(found) and math.isnan(value))


@pytest.mark.parametrize("dtype", REAL, ids=lambda dtype: dtype.name)
def test_as_exact_numbers_say(dtype):
    values = samples(dtype)
    tensor = tf.constant(np.array(values, dtype.as_numpy_dtype), dtype)
    for to in set(REAL) - {dtype}:
        expected = [not holds(to, value) for value in values]
        always = fit(dtype, to) is Fit.ALWAYS
        assert always is not any(expected), to
        if not always:
            assert fit(dtype, to) is Fit.BY_VALUE
            found = misfits(tensor, to).numpy().tolist()
            wrong = [v for v, a, b in zip(values, found, expected, strict=True) if a != b]
            assert (to, wrong) == (to, [])
            assert misfits(tensor[:0], to).shape == [0]


def test_complex_numbers_by_their_parts():
    for real, complex_ in ((tf.float32, tf.complex64), (tf.float64, tf.complex128)):
        for dtype in REAL:
            assert fit(dtype, complex_) is fit(dtype, real)
            assert fit(complex_, dtype) is Fit.NEVER
    assert fit(tf.complex64, tf.complex128) is Fit.ALWAYS
    assert fit(tf.complex128, tf.complex64) is Fit.BY_VALUE


def test_what_is_no_number():
    others = [tf.string, tf.resource, tf.variant, tf.qint8]
    for one, other in itertools.permutations([*others, tf.int32, tf.bool, tf.float32], 2):
        if one in others or other in others:
            assert fit(one, other) is Fit.NEVER
    assert fit(tf.string, tf.string) is Fit.ALWAYS
