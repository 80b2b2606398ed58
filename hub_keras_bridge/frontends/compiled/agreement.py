"""Whether an engine computes TensorFlow's numbers."""

from __future__ import annotations

import numpy as np

from hub_keras_bridge.running.frozen_call import Arrays

# Of the largest number in an output. Engines fuse and reorder sums; float32 rounds at
# 6e-8, and a network of a hundred layers adds up to some 1e-6.
_OF_FLOATS = {"float64": 1e-10, "float32": 1e-4, "bfloat16": 5e-2, "float16": 1e-2}


def difference(expected: Arrays, found: Arrays) -> float:
    """The largest difference, as a part of the largest number in its output.

    Infinite where shapes or dtypes differ, or one is no number and the other is one.

    >>> difference([np.array([2.0, 4.0])], [np.array([2.0, 5.0])])
    0.25
    """
    return max(
        (
            _of_one(np.asarray(one), np.asarray(other))
            for one, other in zip(expected, found, strict=True)
        ),
        default=0.0,
    )


def allowed(expected: Arrays) -> float:
    """What :func:`difference` may be for outputs of such dtypes."""
    names = [np.asarray(each).dtype.name for each in expected]
    return max((_OF_FLOATS[name] for name in names if name in _OF_FLOATS), default=0.0)


def _of_one(expected: np.ndarray, found: np.ndarray) -> float:
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return float("inf")
    if expected.dtype.kind in "OSUb" or not expected.size:
        return 0.0 if np.array_equal(expected, found) else float("inf")
    kind = complex if expected.dtype.kind == "c" else np.float64
    one, other = expected.astype(kind), found.astype(kind)
    alike = (one == other) | (np.isnan(one) & np.isnan(other))
    if alike.all():
        return 0.0
    finite = np.abs(one[np.isfinite(one)])
    largest = float(finite.max(initial=0.0)) or 1.0
    with np.errstate(invalid="ignore"):
        worst = float(np.max(np.abs(one - other)[~alike]))
    return worst / largest if np.isfinite(worst) else float("inf")
