"""The ``TensorInfo`` protos of a signature, read and written.

A dense tensor goes by one name, a sparse one by three, any other composite by a
type spec and the names of its components.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.errors import FormatError, damaged
from hub_keras_bridge.facts.tensor_info import TENSORS, ParsedTensorInfo

_MOST_DIMENSIONS = 254  # of a TensorFlow shape


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
            spec = private_tf.decode_type_spec(proto.composite_tensor.type_spec)
            _check_kind(spec)
            names = tuple(component.name for component in proto.composite_tensor.components)
            parts = tf.nest.flatten(spec, expand_composites=True)
            if len(parts) != len(names):
                raise damaged(
                    "Cannot read an input or output of a TF1 Hub module.",
                    expected=f"the {len(parts)} tensors that a {type(spec).__name__} consists of",
                    found=f"{len(names)}",
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


def _shape(proto: meta_graph_pb2.TensorInfo) -> tf.TensorShape:
    # TensorFlow says nothing of what it cannot use before it uses it.
    sizes = [dim.size for dim in proto.tensor_shape.dim]
    if min(sizes, default=0) < -1 or len(sizes) > _MOST_DIMENSIONS:
        raise damaged(
            "Cannot read an input or output of a TF1 Hub module.",
            expected=f"at most {_MOST_DIMENSIONS} sizes from 0, or -1 for any",
            found=f"{len(sizes)} sizes: {sizes[:9]}",
        )
    return tf.TensorShape(proto.tensor_shape)


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
            type_spec=private_tf.encode_type_spec(tf.type_spec_from_value(value)),
            components=[_dense_info(t) for t in tf.nest.flatten(value, expand_composites=True)],
        )
    )


def dense_info(info: ParsedTensorInfo) -> meta_graph_pb2.TensorInfo:
    """Encodes what is known of a dense tensor; the inverse of :func:`parse_tensor_info`."""
    (name,) = info.tensor_names
    return meta_graph_pb2.TensorInfo(
        name=name,
        dtype=info.dtype.as_datatype_enum,
        tensor_shape=info.get_shape().as_proto(),
    )


def _dense_info(tensor: tf.Tensor) -> meta_graph_pb2.TensorInfo:
    return dense_info(ParsedTensorInfo(tf.TensorSpec(tensor.shape, tensor.dtype), (tensor.name,)))
