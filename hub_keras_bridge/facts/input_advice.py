"""What to do about a value that does not fit an input: the advice that errors give.

``value`` in the texts is what the caller passed. What they tell to write works as it
stands.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from hub_keras_bridge.facts.lossless import exceeds

GIVE_ONE = "pass a value; where there are several inputs, a dict from input name to value"
PAD = "give all rows one length, e.g. by tf.ragged.constant(value).to_tensor(), which pads"
RESHAPE = "reshape the value; a ? stands for any size"


def to_change_kind(value: Any, spec: tf.TypeSpec) -> str:
    """For a dense, sparse or ragged tensor where one of another kind is expected.

    >>> to_change_kind(tf.sparse.from_dense([1.0]), tf.TensorSpec([None]))
    'make it dense: tf.sparse.to_dense(value)'
    """
    if isinstance(spec, tf.SparseTensorSpec):
        return "make it sparse: value.to_sparse()"
    if isinstance(spec, tf.RaggedTensorSpec):
        return "make it ragged: tf.RaggedTensor.from_sparse(value)"
    if isinstance(value, tf.RaggedTensor):
        return "make it dense: value.to_tensor(), which pads"
    return "make it dense: tf.sparse.to_dense(value)"


def to_nest(dtype: tf.DType) -> str:
    """For a value that no ragged tensor can be made of.

    >>> to_nest(tf.int64)
    'pass lists in lists with int64 values, or a tf.RaggedTensor; a ? stands for any size'
    """
    kinds = f"lists in lists with {dtype.name} values, or a tf.RaggedTensor"
    return f"pass {kinds}; a ? stands for any size"


def to_convert(value: Any, dtype: tf.DType) -> str:
    """For a value of another dtype.

    >>> to_convert(tf.constant([1]), tf.float32)
    'convert it, where nothing is lost by it: tf.cast(value, tf.float32)'
    >>> to_convert(np.array([1.5]), tf.int32)
    'convert it, if the values may change: array.astype("int32")'
    >>> to_convert([1.0], tf.string)
    'this input takes text: tf.as_string(value)'

    Args:
        value: a tensor, or what NumPy can make an array of.
        dtype: the input's.
    """
    found = _dtype_of(value)
    if found is None:
        return f"pass values that are all of dtype {dtype.name}; None and objects are none"
    if dtype == tf.string:
        return "this input takes text: tf.as_string(value)"
    if found == tf.string:
        kind = "truth values" if dtype == tf.bool else "numbers"
        return f"this input takes {kind}; to read them from text: {_from_text(dtype)}"
    if found.is_complex and not dtype.is_complex:
        real = "tf.math.real(value)"
        if found.real_dtype != dtype:
            real = f"tf.cast({real}, tf.{dtype.name})"
        return f"this input takes real numbers; to leave the imaginary part out: {real}"
    if not tf.is_tensor(value) and exceeds(np.asarray(value), dtype):
        return to_fit(found, dtype)
    if isinstance(value, np.ndarray):  # Where they need not, it was converted.
        return f'convert it, if the values may change: array.astype("{dtype.name}")'
    return f"convert it, where nothing is lost by it: tf.cast(value, tf.{dtype.name})"


def to_fit(found: tf.DType, dtype: tf.DType) -> str:
    """For numbers of which some are others in the input's dtype.

    >>> to_fit(tf.int64, tf.int32)
    'look at the values: int32 holds -2147483648 to 2147483647'
    >>> to_fit(tf.float64, tf.float32)
    'convert it, if the values may change: keras.ops.cast(value, "float32")'
    """
    if found.is_integer and dtype.is_integer:
        return f"look at the values: {dtype.name} holds {dtype.min} to {dtype.max}"
    return f'convert it, if the values may change: keras.ops.cast(value, "{dtype.name}")'


def for_xla(dtype: tf.DType) -> str:
    """For a tensor of another dtype whose values XLA's functions cannot look at.

    >>> print(for_xla(tf.int32))
    give it as int32: cast the data in tf.data.Dataset.map, or begin the model with
    keras.Input(..., dtype="int32"); or compile with jit_compile=False
    """
    begin = f'begin the model with keras.Input(..., dtype="{dtype.name}")'
    return (
        f"give it as {dtype.name}: cast the data in tf.data.Dataset.map, or {begin}; "
        "or compile with jit_compile=False"
    )


def to_stack(dtype: tf.DType) -> str:
    """For a list of tensors that make no tensor of the dtype.

    >>> to_stack(tf.int32)
    'pass one tensor of dtype int32: tf.stack(value), and where need be tf.cast of that'
    """
    made = "tf.stack(value), and where need be tf.cast of that"
    return f"pass one tensor of dtype {dtype.name}: {made}"


def to_reshape(found: tf.TensorShape, expected: tf.TensorShape) -> str:
    """For a value of another shape.

    >>> shape = tf.TensorShape
    >>> to_reshape(shape([3]), shape([None, 3]))
    'add the batch axis: value[None] of an array or tensor, else [value]'
    >>> to_reshape(shape([8, 1]), shape([None]))
    'drop the axis of size 1: tf.squeeze(value, 1)'
    >>> to_reshape(shape([8, 9, 9, 3]), shape([None, 32, 24, 3]))
    'resize the images: keras.layers.Resizing(32, 24)(value)'
    >>> to_reshape(shape([8, 4]), shape([16, 4]))
    'pass 16 examples at a time'
    >>> to_reshape(shape([8, 4]), shape([None, 5]))
    'reshape the value; a ? stands for any size'
    """
    if expected.rank and found.rank == expected.rank - 1:
        if found.is_compatible_with(expected[1:]):
            return "add the batch axis: value[None] of an array or tensor, else [value]"
    elif axis := _needless_axis(found, expected):
        return f"drop the axis of size 1: tf.squeeze(value, {axis})"
    elif size := _image_size(found, expected):
        return f"resize the images: keras.layers.Resizing({size})(value)"
    elif expected.rank and found[1:].is_compatible_with(expected[1:]):
        return f"pass {expected[0]} examples at a time"
    return RESHAPE


def to_begin_a_model(shape: tf.TensorShape, dtype: tf.DType, spec: tf.TensorSpec) -> str:
    """For a symbol of another dtype or shape: one of ``keras.Input``, or from a layer.

    Where a model has no ``keras.Input``, Keras makes one of the data's shape.

    >>> spec = tf.TensorSpec([None, 32, 32, 3], tf.float32)
    >>> to_begin_a_model(tf.TensorShape([None, 32, 32, 3]), tf.string, spec)
    'begin the model with keras.Input((32, 32, 3), dtype="float32")'
    >>> to_begin_a_model(tf.TensorShape([None, 16, 16, 3]), tf.float32, spec)
    'resize the images first: keras.layers.Resizing(32, 32) before this layer'

    Args:
        shape: the symbol's.
        dtype: the symbol's.
        spec: what the signature says of the input.
    """
    if size := _image_size(shape, spec.shape):
        return f"resize the images first: keras.layers.Resizing({size}) before this layer"
    begin = f"begin the model with {keras_input(spec)}"
    if not shape.is_compatible_with(spec.shape):
        return f"give it data of the shape that the signature has, and {begin}"
    if tf.string in (dtype, spec.dtype):
        return begin
    return f'{begin}, or convert before this layer: keras.ops.cast(x, "{spec.dtype.name}")'


def keras_input(spec: tf.TensorSpec) -> str:
    """The line that declares such an input.

    >>> keras_input(tf.TensorSpec([None], tf.string))
    'keras.Input((), dtype="string")'
    >>> keras_input(tf.TensorSpec([8, None], tf.int64))
    'keras.Input(batch_shape=(8, None), dtype="int64")'
    """
    dtype = f'dtype="{spec.dtype.name}"'
    if not spec.shape.rank:
        return f"keras.Input(..., {dtype})"
    batch, *rest = spec.shape.as_list()
    if batch is None:
        return f"keras.Input({tuple(rest)}, {dtype})"
    return f"keras.Input(batch_shape={(batch, *rest)}, {dtype})"


def _dtype_of(value: Any) -> tf.DType | None:
    """The dtype of the values; None where they are of several, or no tensor's."""
    if tf.is_tensor(value):
        return value.dtype
    array = np.asarray(value)
    if array.dtype.kind == "O":
        is_text = all(isinstance(each, str | bytes) for each in array.flat)
        return tf.string if is_text else None
    try:
        return tf.as_dtype(array.dtype)
    except TypeError:
        return None


def _from_text(dtype: tf.DType) -> str:
    if dtype == tf.bool:
        return 'tf.equal(value, "true")'
    if dtype in (tf.float32, tf.float64, tf.int32, tf.int64):
        return f"tf.strings.to_number(value, tf.{dtype.name})"
    return f"tf.cast(tf.strings.to_number(value), tf.{dtype.name})"


def _needless_axis(found: tf.TensorShape, expected: tf.TensorShape) -> int | None:
    """An axis of size 1, not the first, without which the shape would fit."""
    if expected.rank is None or found.rank != expected.rank + 1:
        return None
    sizes = found.as_list()
    for axis in range(len(sizes) - 1, 0, -1):
        rest = tf.TensorShape(sizes[:axis] + sizes[axis + 1 :])
        if sizes[axis] == 1 and rest.is_compatible_with(expected):
            return axis
    return None


def _image_size(found: tf.TensorShape, expected: tf.TensorShape) -> str:
    """Height and width that are expected, where images differ in these alone."""
    if expected.rank != 4 or found.rank != 4 or None in expected[1:3].as_list():
        return ""
    others_fit = found[0:1].is_compatible_with(expected[0:1]) and found[3:].is_compatible_with(
        expected[3:]
    )
    differ = not found[1:3].is_compatible_with(expected[1:3])
    return f"{expected[1]}, {expected[2]}" if others_fit and differ else ""
