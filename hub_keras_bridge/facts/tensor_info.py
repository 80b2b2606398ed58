"""What a signature says of one input or output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from hub_keras_bridge.errors.words import show_shape

# What a signature may name: these kinds of values, whose tensors are flat in a graph.
TENSORS = (tf.Tensor, tf.SparseTensor, tf.RaggedTensor)


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
        tensor_names: the graph's tensors that carry it, component by component, in
            the order of ``tf.nest.flatten(value, expand_composites=True)``.
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
