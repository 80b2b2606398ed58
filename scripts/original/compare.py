"""Differences between two answers to one question."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

TOLERANCE = 1e-5


@dataclass
class Row:
    """One comparison: a line of the table.

    Attributes:
        module: the subject's name.
        variant: its tags, or nothing.
        what: the signature, or which other part.
        count: values (outputs, variables, facts) that were compared.
        worst: the largest difference, relative to max(1, |value|).
        random: outputs that differ between two runs of the original.
        differences: what is not the same; none if all is well.
    """

    module: str
    variant: str
    what: str
    count: int = 0
    worst: float = 0.0
    random: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    def same(self, name: str, expected: Any, found: Any) -> None:
        """Compares two values that have to be equal."""
        self.count += 1
        if expected != found:
            self.differences.append(f"{name}: here {expected!r}, original {found!r}")

    def names(self, kind: str, here: Iterable[str], original: Iterable[str]) -> None:
        """Compares which values there are."""
        if (expected := sorted(here)) != (found := sorted(original)):
            self.differences.append(f"{kind}: here {expected}, original {found}")

    def close(self, name: str, here: Mapping[str, Any], original: Mapping[str, Any]) -> None:
        """Compares the arrays of one value, part by part."""
        self.count += 1
        self.names(name, here, original)
        for part in here.keys() & original.keys():
            self._close(f"{name} ({part})", _array(here[part]), _array(original[part]))

    def _close(self, name: str, here: np.ndarray, original: np.ndarray) -> None:
        if (here.dtype, here.shape) != (original.dtype, original.shape):
            kinds = [f"{a.dtype} {list(a.shape)}" for a in (here, original)]
            self.differences.append(f"{name}: here {kinds[0]}, original {kinds[1]}")
        elif here.dtype.kind not in "fc":
            if not np.array_equal(here, original):
                self.differences.append(f"{name}: here {here}, original {original}")
        elif here.size:
            distance = relative_difference(here, original)
            self.worst = max(self.worst, distance)
            if not distance <= TOLERANCE:
                self.differences.append(f"{name}: they differ by {distance:.2g}")

    @property
    def outcome(self) -> str:
        """What the table says of it."""
        if self.differences:
            return "DIFFERENT"
        random = f"random: {', '.join(self.random)}" if self.random else ""
        compared = f"{self.count} within {self.worst:.1e}" if self.count else ""
        return "; ".join(filter(None, [compared, random]))


def _array(value: Any) -> np.ndarray:
    """The value, texts as objects: a single one NumPy has as an array of its length."""
    array = np.asarray(value)
    return array.astype(object) if array.dtype.kind == "S" else array


def relative_difference(here: np.ndarray, original: np.ndarray) -> float:
    """The largest difference relative to max(1, |value|); equal NaNs and infinities count as 0."""
    same = (here == original) | (np.isnan(here) & np.isnan(original))
    with np.errstate(invalid="ignore"):
        distance = np.abs(here - original) / np.maximum(1, np.abs(original))
    distance = np.where(same, 0, distance)
    return float("inf") if np.isnan(distance).any() else float(distance.max())


def is_random(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> bool:
    """Whether two runs on the same input gave something else."""
    return any(
        first[part].shape != second[part].shape
        or not np.array_equal(first[part], second[part], equal_nan=first[part].dtype.kind in "fc")
        for part in first
    )
