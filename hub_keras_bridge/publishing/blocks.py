"""A large matrix on its way into a checkpoint, a block of rows at a time."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf

from hub_keras_bridge.facts.checkpoint import write_checkpoint
from hub_keras_bridge.facts.variables import VariableFacts

# Size of the part of the matrix in memory; up to three copies of it are.
_BLOCK_BYTES = 32 * 2**20


def blocks_of(vectors: Iterable[np.ndarray], dim: int, zero_rows: int) -> Iterator[np.ndarray]:
    """The rows of a matrix in blocks: vectors, then so many rows of zeros."""
    zeros = np.zeros(dim, np.float32)
    rows = itertools.chain(vectors, itertools.repeat(zeros, zero_rows))
    per_block = max(1, _BLOCK_BYTES // zeros.nbytes)
    while block := list(itertools.islice(rows, per_block)):
        yield np.stack(block)


def write_rows(prefix: str, facts: VariableFacts, blocks: Iterator[np.ndarray]) -> None:
    """Writes a matrix into a checkpoint, holding one block of rows at a time.

    Each block becomes a checkpoint with a slice of the variable; TensorFlow
    joins them without reading the values again.
    """
    folder = f"{prefix}_parts"
    os.makedirs(folder)
    parts: list[str] = []
    offset = 0
    for rows in blocks:
        parts.append(os.path.join(folder, f"part_{len(parts)}"))
        part = dataclasses.replace(
            facts, shape=rows.shape, full_shape=facts.shape, offset=(offset, 0)
        )
        write_checkpoint(parts[-1], [(part, tf.constant(rows))])
        offset += len(rows)
    with tf.init_scope(), tf.device("CPU"):
        tf.raw_ops.MergeV2Checkpoints(
            checkpoint_prefixes=parts, destination_prefix=prefix, delete_old_dirs=True
        )
