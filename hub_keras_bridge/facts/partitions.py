"""Slices of partitioned variables: whether they make up the whole."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

from hub_keras_bridge.errors.words import show_shape

# Each is held against each other.
_MOST_IN_SEVERAL = 1000

Slice = tuple[tuple[int, ...], tuple[int, ...]]  # Where it begins, and its shape.


def fault(full_shape: Sequence[int], slices: Sequence[Slice]) -> str | None:
    """What is wrong with a variable's slices; None if they are its parts, each once.

    >>> fault([5, 2], [((0, 0), (3, 2)), ((3, 0), (2, 2))])
    >>> fault([5, 2], [((0, 0), (3, 2)), ((2, 0), (2, 2))])
    'the slices at [0, 0] and [2, 0] overlap'
    >>> fault([5, 2], [((0, 0), (3, 2))])
    'the slices leave gaps: 6 values of 10'
    """
    for offset, shape in slices:
        if not len(offset) == len(shape) == len(full_shape):
            return f"a slice at {list(offset)} of shape {show_shape(shape)}"
        ends = (o + s for o, s in zip(offset, shape, strict=True))
        if min(offset, default=0) < 0 or any(map(int.__gt__, ends, full_shape)):
            return f"a slice at {list(offset)} of shape {show_shape(shape)}, which reaches outside"
    axes = _cut_axes(full_shape, slices)
    if len(axes) > 1 and len(slices) > _MOST_IN_SEVERAL:
        return f"{len(slices)} slices along several axes, of which {_MOST_IN_SEVERAL} are allowed"
    for one, other in _neighbours(slices, axes):
        if _overlap(one, other):
            return f"the slices at {list(one[0])} and {list(other[0])} overlap"
    held, whole = sum(math.prod(shape) for _, shape in slices), math.prod(full_shape)
    return None if held == whole else f"the slices leave gaps: {held} values of {whole}"


def _neighbours(slices: Sequence[Slice], axes: Sequence[int]) -> Iterable[tuple[Slice, Slice]]:
    """Pairs of slices, among them two that overlap, if any do."""
    if len(axes) > 1:
        return itertools.combinations(slices, 2)
    # In order along the one axis; what is empty overlaps with nothing.
    filled = [each for each in slices if math.prod(each[1])]
    return itertools.pairwise(sorted(filled, key=lambda each: [each[0][axis] for axis in axes]))


def _cut_axes(full_shape: Sequence[int], slices: Sequence[Slice]) -> list[int]:
    """The axes along which a slice is less than the whole; TensorFlow cuts along one."""
    return [
        axis
        for axis, size in enumerate(full_shape)
        if any(shape[axis] != size for _, shape in slices)
    ]


def _overlap(one: Slice, other: Slice) -> bool:
    return all(
        max(start, begin) < min(start + length, begin + size)
        for start, length, begin, size in zip(*one, *other, strict=True)
    )
