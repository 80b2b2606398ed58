"""Inputs to try engines on: the caller's, or made up from what the signature says."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from hub_keras_bridge.errors import InputError
from hub_keras_bridge.running.frozen_call import Arrays, FrozenCall, Value

BATCH_SIZES = (1, 16, 64)

# Of a dimension that is open and is not that of the examples.
_SIDE = 32
_TEXT = "the quick brown fox jumps over the lazy dog while a small bird sings on the old stone wall"


def inputs_to_try(
    call: FrozenCall, examples: Any, batch_sizes: Sequence[int], sides: Sequence[int] = (_SIDE,)
) -> list[list[Value]]:
    """Flat inputs, a batch each.

    Args:
        call: what runs on them.
        examples: one batch, or a list of batches, each as a call takes it; made up if None.
        batch_sizes: of batches that are made up.
        sides: by turns, what other dimensions are in them that are open.

    Raises:
        InputError: an example does not fit, or none can be made up.
    """
    if examples is not None:
        batches = examples if isinstance(examples, list | tuple) else [examples]
        return [call.bind(batch) for batch in batches]
    specs = [call.specs[tensor] for tensor in call.inputs if tensor]
    if any(spec.shape.rank is None for spec in specs) or call.has_composites:
        raise InputError(
            f"Cannot make up inputs of a {call.subject.kind} to try engines on.",
            call.subject,
            expected="dense inputs of a known rank",
            found="an input that is sparse or ragged, or of any rank",
            advice="pass examples=[...], a list of batches as the call takes them",
        )
    made = (
        [_made(spec, size, side) for spec in _all_specs(call)]
        for size, side in zip(batch_sizes, itertools.cycle(sides), strict=False)
    )
    # Where nothing is open, one is like another.
    return list({shapes_of(flat): list[Value](flat) for flat in made}.values())


def size_of(flat: Arrays) -> int:
    """The number of examples in a batch: the first dimension of the first input that has one."""
    return next((int(value.shape[0]) for value in flat if value.ndim), 1)


def shapes_of(flat: Arrays) -> tuple[tuple[int, ...], ...]:
    """The shapes of flat inputs."""
    return tuple(tuple(value.shape) for value in flat)


def _all_specs(call: FrozenCall) -> list[tf.TensorSpec]:
    unread = tf.TensorSpec([], tf.float32)
    return [call.specs[tensor] if tensor else unread for tensor in call.inputs]


def _made(spec: tf.TensorSpec, size: int, side: int) -> np.ndarray:
    first, *rest = spec.shape.as_list() or [1]
    shape = [first or size, *(known or side for known in rest)] if spec.shape.rank else []
    kind = _KINDS.get(spec.dtype, _some_numbers)
    return np.asarray(kind(np.random.default_rng(0), shape)).astype(
        object if spec.dtype == tf.string else spec.dtype.as_numpy_dtype
    )


def _some_words(random: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
    words = _TEXT.split()
    count = int(np.prod(shape))
    texts = [" ".join(random.permutation(words)).encode() for _ in range(count)]
    return np.array(texts, object).reshape(shape)


def _some_numbers(random: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
    return random.random(shape)


def _zeros_and_ones(random: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
    # Which any table of embeddings has rows for.
    return random.integers(0, 2, shape)


_KINDS: Mapping[tf.DType, Callable[[np.random.Generator, Sequence[int]], np.ndarray]] = {
    tf.string: _some_words,
    **dict.fromkeys(
        [tf.bool, tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint16, tf.uint32, tf.uint64],
        _zeros_and_ones,
    ),
}
