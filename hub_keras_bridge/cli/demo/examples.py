"""The demo's data: scikit-learn's images of handwritten digits, five digits at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

CLASSES = 5


@dataclass(frozen=True)
class Examples:
    """Images in [0, 1] with their classes, counted from 0."""

    images: np.ndarray
    labels: np.ndarray

    def __getitem__(self, chosen: Any) -> Examples:
        return Examples(self.images[chosen], self.labels[chosen])

    def __len__(self) -> int:
        return len(self.labels)


def digits(first: int) -> Examples:
    """All examples of five digits, the first of which becomes class 0."""
    bunch = load_digits()
    chosen = (bunch.target >= first) & (bunch.target < first + CLASSES)
    images = (bunch.images[chosen] / 16.0).astype(np.float32)[..., np.newaxis]
    return Examples(images, bunch.target[chosen] - first)


def few_and_rest(data: Examples, per_class: int, seed: int) -> tuple[Examples, Examples]:
    """Draws some examples of each class to train on; the rest is for the test."""
    draw = np.random.default_rng(seed)
    few = np.concatenate(
        [
            draw.choice(np.flatnonzero(data.labels == label), per_class, replace=False)
            for label in range(CLASSES)
        ]
    )
    rest = np.setdiff1d(np.arange(len(data)), few)
    return data[few], data[rest]
