"""Values as a TF1 session takes and returns them.

A session feeds whatever NumPy makes an array of the input's dtype of: lists of
integers to a float input, a ``SparseTensorValue`` with a list for each part, or that as a
plain tuple. Here such a value becomes one that a signature's inputs are made of, unless
it would be another one afterwards: a session cuts 1.5 to 1 without a word.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from hub_keras_bridge.errors import InputError
from hub_keras_bridge.facts.feeding import Slot
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo

_SparseTensorValue = tf.compat.v1.SparseTensorValue
_RaggedTensorValue = tf.compat.v1.ragged.RaggedTensorValue

_CHECK_PARTS = "pass it as a session returned it: its parts do not belong together"


def from_session(value: Any, slot: Slot) -> Any:
    """Prepares a value for ``Slot.tensors``, while TensorFlow executes eagerly.

    >>> from hub_keras_bridge import errors
    >>> info = ParsedTensorInfo.from_type_spec(tf.SparseTensorSpec([None, 3], tf.float32))
    >>> value = tf.compat.v1.SparseTensorValue([[0, 2]], [5], [1, 3])
    >>> slot = Slot("x", info, errors.Subject("/embed"))
    >>> tf.sparse.to_dense(from_session(value, slot)).numpy().tolist()
    [[0.0, 0.0, 5.0]]

    Args:
        value: what a session would be fed.
        slot: the input that it is to feed.

    Returns:
        A tensor (sparse, ragged) of the input's dtype, an array, or the value itself.

    Raises:
        InputError: a graph tensor; parts of a value that do not fit each other, or not
            the dtype.
    """
    info = slot.info
    if any(map(_is_of_a_graph, tf.nest.flatten(value, expand_composites=True))):
        raise InputError(
            "Cannot evaluate a TF1 Hub module on a graph tensor.",
            slot.subject,
            expected=f"for input {slot.name!r}, {info}: a value, such as an array, a list, an "
            "eager tensor or what a session returns",
            found=str(value),
            advice="pass values, or apply hub.Module to the tensor",
        )
    try:
        if isinstance(info.type_spec, tf.SparseTensorSpec) and _is_sparse(value):
            indices, values, shape = value
            values = _values(values, slot)
            return tf.SparseTensor(np.asarray(indices, np.int64), values, shape)
        if isinstance(value, _RaggedTensorValue):
            values = _values(value.flat_values, slot)
            return tf.RaggedTensor.from_nested_row_splits(values, value.nested_row_splits)
    except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
        if isinstance(error, InputError):
            raise
        raise slot.misfit(str(value), _CHECK_PARTS) from error
    if isinstance(info.type_spec, tf.TensorSpec) and info.dtype != tf.string:
        return _array(value)
    return value


def _is_of_a_graph(part: Any) -> bool:
    part = getattr(part, "handle", part)  # of a variable
    return isinstance(part, tf.Tensor | tf.Variable) and not hasattr(part, "numpy")


def _is_sparse(value: Any) -> bool:
    """Whether a value is one of indices, values and a shape."""
    if isinstance(value, _SparseTensorValue):
        return True
    if not isinstance(value, list | tuple) or len(value) != 3:
        return False
    return [np.ndim(_array(part)) for part in value] == [2, 1, 1]


def _values(values: Any, slot: Slot) -> tf.Tensor:
    """The values of a sparse or ragged tensor, in its dtype."""
    dtype = slot.info.dtype
    dense = ParsedTensorInfo.from_type_spec(tf.TensorSpec(None, dtype))
    given = values if dtype == tf.string else _array(values)
    return replace(slot, info=dense).fill(given)


def _array(value: Any) -> Any:
    """The value as an array; itself where its rows are uneven."""
    if tf.is_tensor(value):
        return value
    try:
        return np.asarray(value)
    except ValueError:
        return value
