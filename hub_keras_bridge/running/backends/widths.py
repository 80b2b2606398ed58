"""Numbers of 64 bits where a framework holds 32: carried if none is lost, refused if one may be.

Integers have values that fit, mostly: an index, a step, a class. So they are looked at, one by
one, when there are values. Of a float of 64 bits the digits themselves are what is lost.
"""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

from hub_keras_bridge.errors import BackendError, Subject
from hub_keras_bridge.facts.converting import converted
from hub_keras_bridge.facts.variables import VariableFacts
from hub_keras_bridge.running.backends.backend import Backend


def need_digits(what: str, dtype: tf.DType, backend: Backend, subject: Subject) -> None:
    """Checks that a framework holds all digits of a dtype of numbers.

    Args:
        what: whose dtype, for the message.
        dtype: of numbers.
        backend: the framework.
        subject: for the message.

    Raises:
        BackendError: it would lose some.
    """
    advice, carried = backend.loses(dtype), backend.carried(dtype)
    if advice is None or carried is None or dtype.is_integer:
        return
    raise BackendError(
        f"Cannot use {what} of a {subject.kind} with {backend.title}: it would lose digits.",
        subject,
        expected=f"a dtype that {backend.title} has",
        found=f"{dtype.name}, which it would cut to {carried.name}",
        advice=advice,
    )


def narrowed(tensor: tf.Tensor, what: str, backend: Backend, subject: Subject) -> tf.Tensor:
    """A tensor in the dtype in which a framework carries it.

    In a graph the check is a part of it, which XLA cannot compile.

    Raises:
        BackendError: a value does not fit.
    """
    dtype = backend.carried(tensor.dtype)
    if dtype is None or dtype == tensor.dtype:
        return tensor
    misfit = functools.partial(_misfit, what, tensor.dtype, backend, subject)
    return converted(tensor, dtype, misfit)


def first_value(
    value: np.ndarray, facts: VariableFacts, backend: Backend, subject: Subject
) -> np.ndarray:
    """A variable's first value, as a framework holds it.

    Raises:
        BackendError: digits or values would be lost.
    """
    what = f"variable {facts.name!r}"
    need_digits(what, facts.dtype, backend, subject)
    if backend.carried(facts.dtype) in (None, facts.dtype):
        return value
    return np.asarray(narrowed(tf.constant(value), what, backend, subject))


def _misfit(
    what: str, dtype: tf.DType, backend: Backend, subject: Subject, found: str, _: str
) -> BackendError:
    carried = backend.carried(dtype)
    assert carried is not None
    return BackendError(
        f"Cannot carry {what} of a {subject.kind} in {backend.title}: a value does not fit.",
        subject,
        expected=f"values of {carried.name}, in which it carries {dtype.name}",
        found=found,
        advice=backend.loses(dtype),
    )
