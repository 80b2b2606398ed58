"""From values to the tensors that feed a signature: whatever loses nothing by it is converted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from hub_keras_bridge.errors import InputError, Subject
from hub_keras_bridge.errors.words import show_shape
from hub_keras_bridge.facts import input_advice
from hub_keras_bridge.facts.converting import converted
from hub_keras_bridge.facts.lossless import Fit, fit, fitted_to, overflows
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.facts.text_bytes import TEXT_BYTES, bytes_to_text, holds_text


@dataclass(frozen=True)
class Slot:
    """One input of a signature, which a value is to fit.

    >>> info = ParsedTensorInfo.from_type_spec(tf.TensorSpec([None], tf.float32))
    >>> Slot("x", info, Subject("doubler")).fill([1, 2]).numpy().tolist()
    [1.0, 2.0]

    Attributes:
        name: the input's, for messages.
        info: what the signature says of it.
        subject: module, tags and signature, for messages.
        converts: whether a tensor of another dtype is converted where its values
            fit; if not, it is refused, as by the original library.
    """

    name: str
    info: ParsedTensorInfo
    subject: Subject
    converts: bool = True

    def fill(self, value: Any) -> Any:
        """A value as one tensor, dense, sparse or ragged as the input is.

        Raises:
            InputError: kind, dtype, rank or shape do not fit.
        """
        return self.info.pack(self.tensors(value))

    def tensors(self, value: Any) -> list[tf.Tensor]:
        """A value as the tensors that feed the input, component by component.

        Raises:
            InputError: kind, dtype, rank or shape do not fit.
        """
        if value is None:
            raise self.misfit("no value (None)", input_advice.GIVE_ONE)
        spec = self.info.type_spec
        if isinstance(spec, tf.TensorSpec):
            tensor = _to_dense(value, self)
            if not spec.shape.is_compatible_with(tensor.shape):
                advice = input_advice.to_reshape(tensor.shape, spec.shape)
                raise self.misfit(f"shape {show_shape(tensor.shape)}", advice)
            return [tensor]
        if isinstance(spec, tf.RaggedTensorSpec):
            value = _to_ragged(value, self)
        elif isinstance(spec, tf.SparseTensorSpec):
            value = _to_sparse(value, self)
        if not spec.is_compatible_with(value):
            raise self.misfit(str(tf.type_spec_from_value(value)), input_advice.RESHAPE)
        return tf.nest.flatten(value, expand_composites=True)

    def check_symbol(self, shape: Any, dtype: tf.DType) -> str | None:
        """Checks what is known of a dense value before there is one.

        A float is refused where the input takes integers: Keras makes one of all data
        then, and rounds large ones, before a layer could look at them.

        Returns:
            Input and dtypes, where values decide whether they fit; None where they will.

        Raises:
            InputError: they can never.
        """
        shape, to = tf.TensorShape(shape), self.info.dtype
        if self.takes_as_text(shape, dtype):
            return None
        whole = to.is_integer or to.is_bool
        fits = Fit.NEVER if dtype.is_floating and whole else fit(dtype, to)
        if fits is not Fit.NEVER and self.info.get_shape().is_compatible_with(shape):
            settled = fits is Fit.ALWAYS
            return None if settled else f"{self.name} ({dtype.name} for {to.name})"
        # Of data that it makes an input for, Keras tells the layer's dtype, not the data's.
        kind = dtype.name if fits is Fit.NEVER else "shape"
        advice = input_advice.to_begin_a_model(shape, dtype, self.info.type_spec)
        raise self.misfit(f"{kind} {show_shape(shape)}", advice)

    def spec_of_array(self, carried: Callable[[tf.DType], tf.DType | None]) -> tf.TensorSpec:
        """Of a dense array that feeds the input: of text, that of its bytes.

        Args:
            carried: the dtype in which arrays hold numbers of one.
        """
        shape = tf.TensorShape(self.info.get_shape())
        if self.info.dtype == tf.string:
            return tf.TensorSpec(shape.concatenate([None]), TEXT_BYTES)
        return tf.TensorSpec(shape, carried(self.info.dtype))

    def fed_shape(self, shape: Any, dtype: tf.DType) -> tf.TensorShape:
        """The shape in which a dense value feeds the input: of bytes of text, that of the text."""
        shape = tf.TensorShape(shape)
        return shape[:-1] if self.takes_as_text(shape, dtype) else shape

    def takes_as_text(self, shape: tf.TensorShape, dtype: tf.DType) -> bool:
        """Whether a dense value is bytes of text, as :func:`text_to_bytes` makes them."""
        if self.info.dtype != tf.string or not holds_text(dtype) or not self.converts:
            return False
        return shape.rank != 0 and self.info.get_shape().is_compatible_with(shape[:-1])

    def misfit(self, found: str, advice: str) -> InputError:
        """The error for a value that does not fit."""
        return InputError(
            f"Cannot feed input {self.name!r} of a {self.subject.kind}.",
            self.subject,
            expected=str(self.info),
            found=found,
            advice=advice,
        )


def _to_dense(value: Any, slot: Slot) -> tf.Tensor:
    dtype = slot.info.dtype
    if isinstance(value, tf.RaggedTensor | tf.SparseTensor):
        raise _other_kind(value, slot)
    # Of an array it is not asked: TensorFlow takes long to say no.
    is_array = isinstance(value, np.ndarray | np.generic)
    if is_array and dtype == tf.string and value.dtype == np.uint8:
        value, is_array = tf.constant(value), False
    if not is_array and tf.is_tensor(value):
        # An eager tensor stays one in a function, so that its values are known there.
        tensor = value if isinstance(value, tf.Tensor) else tf.convert_to_tensor(value)
        return _in_dtype(tensor, slot)
    if is_array and value.dtype == object and dtype != tf.string:
        # TensorFlow looks at a list's values, but parses or cuts those of such an array.
        value, is_array = value.tolist(), False
    if is_array:
        fitted = fitted_to(value, dtype)
        if fitted is None:
            found = f"values of dtype {value.dtype} that do not fit"
            raise slot.misfit(found, input_advice.to_convert(value, dtype))
        value = fitted
    if isinstance(value, list | tuple | int) and overflows(value, dtype):
        raise _unconvertible(value, slot)
    try:
        return tf.convert_to_tensor(value, dtype)
    except (TypeError, ValueError, OverflowError, tf.errors.OpError) as error:
        raise _unconvertible(value, slot) from error


def _to_ragged(value: Any, slot: Slot) -> tf.RaggedTensor:
    spec = slot.info.type_spec
    if isinstance(value, tf.SparseTensor):
        raise _other_kind(value, slot)
    layout = {"ragged_rank": spec.ragged_rank, "row_splits_dtype": spec.row_splits_dtype}
    if not isinstance(value, list | tuple | tf.RaggedTensor) and not tf.is_tensor(value):
        value = _to_dense(value, slot)
    try:
        if isinstance(value, list | tuple):
            if any(overflows(leaf, spec.dtype) for leaf in tf.nest.flatten(value)):
                raise _unconvertible(value, slot)
            value = tf.ragged.constant(list(value), dtype=spec.dtype, **layout)
        elif not isinstance(value, tf.RaggedTensor):
            value = tf.RaggedTensor.from_tensor(tf.convert_to_tensor(value), **layout)
    except (TypeError, ValueError) as error:
        raise slot.misfit(_describe(value), input_advice.to_nest(spec.dtype)) from error
    value = value.with_row_splits_dtype(spec.row_splits_dtype)
    return value.with_flat_values(_in_dtype(value.flat_values, slot))


def _to_sparse(value: Any, slot: Slot) -> tf.SparseTensor:
    if isinstance(value, tf.RaggedTensor):
        raise _other_kind(value, slot)
    if not isinstance(value, tf.SparseTensor):
        dense = _to_dense(value, slot)
        if dense.shape.rank == 0:
            raise slot.misfit(_describe(value), input_advice.RESHAPE)
        value = tf.sparse.from_dense(dense)
    return value.with_values(_in_dtype(value.values, slot))


def _in_dtype(value: tf.Tensor, slot: Slot) -> tf.Tensor:
    dtype = slot.info.dtype
    if slot.takes_as_text(value.shape, value.dtype):
        return bytes_to_text(value)
    if value.dtype != dtype and not slot.converts:
        raise slot.misfit(f"dtype {value.dtype.name}", input_advice.to_convert(value, dtype))
    return converted(value, dtype, slot.misfit)


def _other_kind(value: Any, slot: Slot) -> InputError:
    advice = input_advice.to_change_kind(value, slot.info.type_spec)
    return slot.misfit(type(value).__name__, advice)


def _unconvertible(value: Any, slot: Slot) -> InputError:
    if any(map(tf.is_tensor, tf.nest.flatten(value))):
        advice = input_advice.to_stack(slot.info.dtype)
    elif _as_array(value) is None:
        advice = input_advice.PAD
    else:
        advice = input_advice.to_convert(value, slot.info.dtype)
    return slot.misfit(_describe(value), advice)


def _describe(value: Any) -> str:
    kind = type(value).__name__
    if tf.is_tensor(value):
        return f"{kind} of {value.dtype.name}, shape {show_shape(value.shape)}"
    if any(map(tf.is_tensor, tf.nest.flatten(value))):
        return f"{kind} of tensors"
    array = _as_array(value)
    what = "uneven rows" if array is None else f"{array.dtype}, shape {show_shape(array.shape)}"
    return f"{kind} of {what}"


def _as_array(value: Any) -> np.ndarray | None:
    """The value as NumPy has it; None where its rows are uneven."""
    try:
        return np.asarray(value)
    except ValueError:
        return None
