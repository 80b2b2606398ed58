"""Before anything is timed: all sides compute the same numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

# XLA fuses and reorders sums of float32.
TOLERANCE = 1e-4
# On the way back through a deep network, batch norm and activations with kinks
# make rounding errors grow.
UPDATE_TOLERANCE = 5e-2


class Disagreement(Exception):
    """Two sides computed different numbers, so that their times compare nothing."""


def require_same(what: str, results: Mapping[str, Any], tolerance: float = TOLERANCE) -> None:
    """Checks arrays of all sides against the first one's.

    Args:
        what: was computed, for the message.
        results: side -> array.
        tolerance: of the difference, as a part of the largest number there is.

    Raises:
        Disagreement: they differ; both sides and by how much are named.
    """
    (first, expected), *others = ((side, np.asarray(value)) for side, value in results.items())
    largest = np.abs(expected).max()
    for side, actual in others:
        if actual.shape != expected.shape:
            raise Disagreement(f"{what}: {side} has shape {actual.shape}, {first} {expected.shape}")
        difference = np.abs(actual - expected).max()
        if not difference <= tolerance * largest:
            raise Disagreement(
                f"{what}: {side} differs from {first} by {difference:.2g} where numbers go up "
                f"to {largest:.2g}"
            )


def require_same_updates(
    what: str,
    before: Mapping[str, Mapping[str, np.ndarray]],
    after: Mapping[str, Mapping[str, np.ndarray]],
) -> None:
    """Checks what training did to the weights of all sides.

    Args:
        what: was trained, for the message.
        before: side -> name of a weight -> its value.
        after: the same, later.

    Raises:
        Disagreement: names or changes differ, or nothing has changed.
    """
    changes = {
        side: {name: after[side][name] - value for name, value in weights.items()}
        for side, weights in before.items()
    }
    names = {side: sorted(change) for side, change in changes.items()}
    (first, expected), *others = names.items()
    for side, found in others:
        if found != expected:
            raise Disagreement(
                f"{what}: {side} trains {sorted(set(found) ^ set(expected))} unlike {first}"
            )
    # All in one, since some gradients are zero but for rounding.
    flat = {
        side: np.concatenate([change[name].ravel() for name in expected])
        for side, change in changes.items()
    }
    if not np.abs(flat[first]).max() > 0:
        raise Disagreement(f"{what}: training changes nothing in {first}")
    require_same(what, flat, UPDATE_TOLERANCE)
