"""Seeded random inputs for a signature: small, and harmless to logs and lookups."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

import hub_keras_bridge as hub
from original import exchange

_FREE = 3
_WORDS = [b"the", b"cat", b"hello", b"world", b"zyzzyva", b""]

Inputs = dict[str, exchange.Parts]


def random_inputs(
    spec: hub.ModuleSpec, tags: frozenset[str], signature: str, generator: np.random.Generator
) -> Inputs:
    """A value for each input; a dimension that the signature leaves open is 3."""
    infos = spec.get_input_info_dict(signature, tags)
    return {
        name: exchange.to_parts(_random(info.type_spec, generator)) for name, info in infos.items()
    }


def fit(inputs: Inputs, spec: hub.ModuleSpec, tags: frozenset[str], signature: str) -> bool:
    """Whether values recorded for one variant can also be fed to another."""
    infos = spec.get_input_info_dict(signature, tags)
    return inputs.keys() == infos.keys() and all(
        infos[name].type_spec.is_compatible_with(exchange.to_tensor(parts))
        for name, parts in inputs.items()
    )


def _random(spec: tf.TypeSpec, generator: np.random.Generator) -> Any:
    rank_known = spec.shape.rank is not None
    shape = [_FREE if dim is None else dim for dim in spec.shape] if rank_known else [_FREE]
    dense = _dense(spec.dtype, shape, generator)
    if isinstance(spec, tf.SparseTensorSpec):
        return tf.sparse.from_dense(np.where(generator.random(shape) < 0.5, dense, 0))
    if isinstance(spec, tf.RaggedTensorSpec):
        return tf.RaggedTensor.from_tensor(
            dense, ragged_rank=spec.ragged_rank, row_splits_dtype=spec.row_splits_dtype
        )
    return dense


def _dense(dtype: tf.DType, shape: list[int], generator: np.random.Generator) -> np.ndarray:
    if dtype == tf.string:
        return generator.choice(np.array(_WORDS, object), shape)
    if dtype == tf.bool:
        return generator.random(shape) < 0.5
    if dtype.is_integer:
        return generator.integers(0, 3, shape).astype(dtype.as_numpy_dtype)
    # Between 0 and 1, as pixels and densities are.
    values = generator.random(shape)
    if dtype.is_complex:
        values = values + 1j * generator.random(shape)
    return values.astype(dtype.as_numpy_dtype)
