"""What a signature says of one input or output, and values as flat tensors.

A signature names its tensors in ``TensorInfo`` protos: a dense tensor by one
name, a sparse one by three, any other composite by a type spec and the names
of its components. Here each becomes a :class:`ParsedTensorInfo`, whose
``tensor_names`` stand in the order of
``tf.nest.flatten(value, expand_composites=True)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from hub_keras_bridge.compat import private
from hub_keras_bridge.errors import FormatError, InputError, Subject
from hub_keras_bridge.facts import input_advice

# What a signature may name: these kinds of values, whose tensors are flat in a graph.
TENSORS = (tf.Tensor, tf.SparseTensor, tf.RaggedTensor)

_MOST_DIMENSIONS = 254  # of a TensorFlow shape


@dataclass(frozen=True, repr=False)
class ParsedTensorInfo:
    """One input or output of a signature.

    >>> info = ParsedTensorInfo(tf.TensorSpec([None, 3], tf.float32), ("x:0",))
    >>> print(info)
    float32 [?, 3]
    >>> info
    <hub.ParsedTensorInfo shape=(None, 3) dtype=float32 is_sparse=False>

    Attributes:
        type_spec: dtype, shape and kind (dense, sparse, ragged).
        tensor_names: the graph's tensors that carry it, component by component.
    """

    type_spec: tf.TypeSpec
    tensor_names: tuple[str, ...]

    @classmethod
    def from_type_spec(cls, type_spec: tf.TypeSpec) -> ParsedTensorInfo:
        """Describes a value that no tensors of a graph are known for."""
        return cls(type_spec, ())

    @property
    def dtype(self) -> tf.DType:
        """The dtype of the values."""
        return self.type_spec.dtype

    @property
    def is_sparse(self) -> bool:
        """Whether this is a SparseTensor."""
        return isinstance(self.type_spec, tf.SparseTensorSpec)

    @property
    def is_composite(self) -> bool:
        """Whether this consists of several tensors: it is sparse or ragged."""
        return not isinstance(self.type_spec, tf.TensorSpec)

    @property
    def is_supported_type(self) -> bool:
        """Whether a signature may have such a value, dense, sparse or ragged."""
        return issubclass(self.type_spec.value_type, TENSORS)

    def get_shape(self) -> tf.TensorShape:
        """The static shape; None where a dimension is free."""
        return self.type_spec.shape

    @property
    def component_specs(self) -> list[tf.TensorSpec]:
        """One dense TensorSpec per entry of ``tensor_names``."""
        if isinstance(self.type_spec, tf.TensorSpec):
            # An optional input's default is a shape of its own; a None name
            # keeps two inputs from fighting over one.
            return [tf.TensorSpec(self.type_spec.shape, self.type_spec.dtype)]
        return [
            tf.TensorSpec(spec.shape, spec.dtype)
            for spec in tf.nest.flatten(self.type_spec, expand_composites=True)
        ]

    def pack(self, tensors: Sequence[tf.Tensor]) -> Any:
        """The value whose components are these tensors."""
        if isinstance(self.type_spec, tf.TensorSpec):
            return tensors[0]
        return tf.nest.pack_sequence_as(self.type_spec, list(tensors), expand_composites=True)

    def __str__(self) -> str:
        kind = {tf.SparseTensorSpec: "sparse ", tf.RaggedTensorSpec: "ragged "}.get(
            type(self.type_spec), ""
        )
        return f"{kind}{self.dtype.name} {show_shape(self.get_shape())}"

    def __repr__(self) -> str:
        # As the original library has it, which notebooks show.
        if isinstance(self.type_spec, tf.TensorSpec | tf.SparseTensorSpec):
            facts = f"shape={self.get_shape()} dtype={self.dtype.name} is_sparse={self.is_sparse}"
        else:
            facts = f"type_spec={self.type_spec}"
        return f"<hub.ParsedTensorInfo {facts}>"


def show_shape(shape: tf.TensorShape) -> str:
    """
    >>> show_shape(tf.TensorShape([None, 3])), show_shape(tf.TensorShape(None))
    ('[?, 3]', '[unknown rank]')
    """
    if shape.rank is None:
        return "[unknown rank]"
    return "[" + ", ".join("?" if dim is None else str(dim) for dim in shape.as_list()) + "]"


def parse_tensor_info(proto: meta_graph_pb2.TensorInfo) -> ParsedTensorInfo:
    """Decodes one entry of a SignatureDef.

    Raises:
        FormatError: a composite value has other components than its kind.
        TypeError, ValueError: the dtype, shape or type spec is none.
    """
    match proto.WhichOneof("encoding"):
        case "coo_sparse":
            sparse = proto.coo_sparse
            return ParsedTensorInfo(
                tf.SparseTensorSpec(_shape(proto), _dtype(proto)),
                (
                    sparse.indices_tensor_name,
                    sparse.values_tensor_name,
                    sparse.dense_shape_tensor_name,
                ),
            )
        case "composite_tensor":
            spec = private.decode_type_spec(proto.composite_tensor.type_spec)
            _check_kind(spec)
            names = tuple(component.name for component in proto.composite_tensor.components)
            parts = tf.nest.flatten(spec, expand_composites=True)
            if len(parts) != len(names):
                raise FormatError(
                    "Cannot read an input or output of a TF1 Hub module.",
                    expected=f"the {len(parts)} tensors that a {type(spec).__name__} consists of",
                    found=f"{len(names)}",
                    advice="fetch the module again; its graph is damaged",
                )
            return ParsedTensorInfo(spec, names)
        case _:
            return ParsedTensorInfo(tf.TensorSpec(_shape(proto), _dtype(proto)), (proto.name,))


def _check_kind(spec: tf.TypeSpec) -> None:
    if not issubclass(spec.value_type, TENSORS):
        raise FormatError(
            "Cannot read an input or output of a TF1 Hub module.",
            expected="a dense, sparse or ragged tensor",
            found=spec.value_type.__name__,
            advice="publish the module again, with the tensors of this value one by one",
        )


def _dtype(proto: meta_graph_pb2.TensorInfo) -> tf.DType:
    # A TF1 module may give out a reference variable; who reads it gets its value.
    return tf.as_dtype(proto.dtype).base_dtype


def build_tensor_info(value: Any) -> meta_graph_pb2.TensorInfo:
    """Encodes a graph tensor (dense, sparse, ragged) for a SignatureDef."""
    if isinstance(value, tf.SparseTensor):
        return meta_graph_pb2.TensorInfo(
            coo_sparse=meta_graph_pb2.TensorInfo.CooSparse(
                values_tensor_name=value.values.name,
                indices_tensor_name=value.indices.name,
                dense_shape_tensor_name=value.dense_shape.name,
            ),
            dtype=value.dtype.as_datatype_enum,
            tensor_shape=value.shape.as_proto(),
        )
    if isinstance(value, tf.Tensor):
        return _dense_info(value)
    return meta_graph_pb2.TensorInfo(
        composite_tensor=meta_graph_pb2.TensorInfo.CompositeTensor(
            type_spec=private.encode_type_spec(tf.type_spec_from_value(value)),
            components=[_dense_info(t) for t in tf.nest.flatten(value, expand_composites=True)],
        )
    )


def may_widen(dtype: tf.DType, to: tf.DType) -> bool:
    """Whether values of a dtype all fit a wider one of the same kind.

    >>> may_widen(tf.float32, tf.float64), may_widen(tf.int64, tf.int32)
    (True, False)
    """
    same_kind = (dtype.is_floating and to.is_floating) or (dtype.is_integer and to.is_integer)
    return same_kind and dtype.size < to.size


def to_components(value: Any, name: str, info: ParsedTensorInfo, subject: Subject) -> list[Any]:
    """Converts a value to the tensors that feed one input.

    Dtypes follow ``tf.convert_to_tensor(value, dtype)``; beyond it, a tensor
    of a narrower dtype of the same kind is widened, which loses nothing (Keras
    hands float32 to a float64 input, whatever the data were).

    Args:
        value: anything that converts to a tensor of the input's kind.
        name: the input's name, for messages.
        info: what the signature says of it.
        subject: module, tags and signature, for messages.

    Raises:
        InputError: kind, dtype, rank or shape do not fit.
    """
    if value is None:
        raise mismatch(name, info, "no value (None)", input_advice.GIVE_ONE, subject)
    spec = info.type_spec
    if isinstance(spec, tf.TensorSpec):
        tensor = _to_dense(value, name, info, subject)
        if not spec.shape.is_compatible_with(tensor.shape):
            advice = input_advice.to_reshape(tensor.shape, spec.shape)
            raise mismatch(name, info, f"shape {show_shape(tensor.shape)}", advice, subject)
        return [tensor]
    if isinstance(spec, tf.RaggedTensorSpec):
        value = _to_ragged(value, name, info, subject)
    elif isinstance(spec, tf.SparseTensorSpec):
        value = _to_sparse(value, name, info, subject)
    if not spec.is_compatible_with(value):
        found = str(tf.type_spec_from_value(value))
        raise mismatch(name, info, found, input_advice.RESHAPE, subject)
    return tf.nest.flatten(value, expand_composites=True)


def _to_dense(value: Any, name: str, info: ParsedTensorInfo, subject: Subject) -> tf.Tensor:
    if isinstance(value, tf.RaggedTensor | tf.SparseTensor):
        raise _other_kind(value, name, info, subject)
    if tf.is_tensor(value):
        return _widen(tf.convert_to_tensor(value), name, info, subject)
    if isinstance(value, np.ndarray) and value.dtype == object and info.dtype != tf.string:
        # TensorFlow looks at a list's values, but parses or cuts those of such an array.
        value = value.tolist()
    if isinstance(value, np.ndarray | np.generic):
        fitted = _fitted(value, info.dtype)
        if fitted is None:
            found = f"values of dtype {value.dtype} that do not fit"
            advice = input_advice.to_convert(value, info.dtype)
            raise mismatch(name, info, found, advice, subject)
        value = fitted
    if isinstance(value, list | tuple | int) and _overflows(value, info.dtype):
        raise _unconvertible(value, name, info, subject)
    try:
        return tf.convert_to_tensor(value, info.dtype)
    except (TypeError, ValueError, OverflowError, tf.errors.OpError) as error:
        raise _unconvertible(value, name, info, subject) from error


def _fitted(array: np.ndarray | np.generic, dtype: tf.DType) -> np.ndarray | np.generic | None:
    """An array that TensorFlow converts to a dtype without losing anything, None if it cannot.

    TensorFlow rounds float64 to float32, as everywhere; but it also cuts fractions,
    imaginary parts and high bits off, and parses strings, all without a word.
    """
    if dtype == tf.string:
        return array  # TensorFlow itself refuses what does not fit.
    if np.can_cast(array.dtype, dtype.as_numpy_dtype, "same_kind"):
        return None if input_advice.exceeds(array, dtype) else array
    if array.dtype.kind not in "biuf":
        return None
    with np.errstate(invalid="ignore"):
        converted = np.asarray(array).astype(dtype.as_numpy_dtype)
    return converted if np.array_equal(converted, np.asarray(array)) else None


def _overflows(value: Any, dtype: tf.DType) -> bool:
    """Whether TensorFlow would cut high bits off integers in lists."""
    if not dtype.is_integer:
        return False
    try:
        return input_advice.exceeds(np.asarray(value), dtype)
    except (ValueError, NotImplementedError):
        return False  # Uneven rows, or tensors of a graph: TensorFlow's to check.


def _unconvertible(value: Any, name: str, info: ParsedTensorInfo, subject: Subject) -> InputError:
    if any(map(tf.is_tensor, tf.nest.flatten(value))):
        advice = input_advice.to_stack(info.dtype)
    elif _as_array(value) is None:
        advice = input_advice.PAD
    else:
        advice = input_advice.to_convert(value, info.dtype)
    return mismatch(name, info, _describe(value), advice, subject)


def _describe(value: Any) -> str:
    kind = type(value).__name__
    if tf.is_tensor(value):
        return f"{kind} of {value.dtype.name}, shape {show_shape(value.shape)}"
    if any(map(tf.is_tensor, tf.nest.flatten(value))):
        return f"{kind} of tensors"
    array = _as_array(value)
    what = "uneven rows" if array is None else f"{array.dtype}, shape {list(array.shape)}"
    return f"{kind} of {what}"


def _as_array(value: Any) -> np.ndarray | None:
    """The value as NumPy has it; None where its rows are uneven."""
    try:
        return np.asarray(value)
    except ValueError:
        return None


def _to_ragged(value: Any, name: str, info: ParsedTensorInfo, subject: Subject) -> tf.RaggedTensor:
    spec = info.type_spec
    if isinstance(value, tf.SparseTensor):
        raise _other_kind(value, name, info, subject)
    layout = {"ragged_rank": spec.ragged_rank, "row_splits_dtype": spec.row_splits_dtype}
    try:
        if isinstance(value, list | tuple):
            value = tf.ragged.constant(list(value), dtype=info.dtype, **layout)
        elif not isinstance(value, tf.RaggedTensor):
            dense = value if tf.is_tensor(value) else np.asarray(value)
            value = tf.RaggedTensor.from_tensor(tf.convert_to_tensor(dense), **layout)
    except (TypeError, ValueError) as error:
        advice = input_advice.to_nest(info.dtype)
        raise mismatch(name, info, _describe(value), advice, subject) from error
    value = value.with_row_splits_dtype(spec.row_splits_dtype)
    return value.with_flat_values(_widen(value.flat_values, name, info, subject))


def _to_sparse(value: Any, name: str, info: ParsedTensorInfo, subject: Subject) -> tf.SparseTensor:
    if isinstance(value, tf.RaggedTensor):
        raise _other_kind(value, name, info, subject)
    if not isinstance(value, tf.SparseTensor):
        dense = _to_dense(value, name, info, subject)
        if dense.shape.rank == 0:
            raise mismatch(name, info, _describe(value), input_advice.RESHAPE, subject)
        value = tf.sparse.from_dense(dense)
    return value.with_values(_widen(value.values, name, info, subject))


def _widen(value: tf.Tensor, name: str, info: ParsedTensorInfo, subject: Subject) -> tf.Tensor:
    if value.dtype == info.dtype:
        return value
    if may_widen(value.dtype, info.dtype):
        return tf.cast(value, info.dtype)
    advice = input_advice.to_convert(value, info.dtype)
    raise mismatch(name, info, f"dtype {value.dtype.name}", advice, subject)


def _other_kind(value: Any, name: str, info: ParsedTensorInfo, subject: Subject) -> InputError:
    advice = input_advice.to_change_kind(value, info.type_spec)
    return mismatch(name, info, type(value).__name__, advice, subject)


def mismatch(
    name: str, info: ParsedTensorInfo, found: str, advice: str, subject: Subject
) -> InputError:
    """The error for a value that does not fit an input."""
    return InputError(
        f"Cannot feed input {name!r} of a {subject.kind}.",
        subject,
        expected=str(info),
        found=found,
        advice=advice,
    )


def _shape(proto: meta_graph_pb2.TensorInfo) -> tf.TensorShape:
    # TensorFlow says nothing of what it cannot use before it uses it.
    sizes = [dim.size for dim in proto.tensor_shape.dim]
    if min(sizes, default=0) < -1 or len(sizes) > _MOST_DIMENSIONS:
        raise FormatError(
            "Cannot read an input or output of a TF1 Hub module.",
            expected=f"at most {_MOST_DIMENSIONS} sizes from 0, or -1 for any",
            found=f"{len(sizes)} sizes: {sizes[:9]}",
            advice="fetch the module again; its graph is damaged",
        )
    return tf.TensorShape(proto.tensor_shape)


def _dense_info(tensor: tf.Tensor) -> meta_graph_pb2.TensorInfo:
    return meta_graph_pb2.TensorInfo(
        name=tensor.name,
        dtype=tensor.dtype.as_datatype_enum,
        tensor_shape=tensor.shape.as_proto(),
    )
