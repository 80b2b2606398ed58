"""From a module's path to its first result, eagerly, in a process that runs already."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

import numpy as np

from benchmarks import agreement
from benchmarks.figures import Case, Result
from benchmarks.kinds import asked_for, published
from benchmarks.kinds.kind import Module
from benchmarks.sides import KERAS_LAYER
from benchmarks.sides.callers import LOADERS, Bind
from benchmarks.timing import interleaved

_KINDS = ("cnn", "embedding", "transformer")
AIMS = {KERAS_LAYER: 0.4}


def run(quick: bool, kinds: Collection[str]) -> list[Result]:
    """Measures all sides on the kinds of module that take long to load."""
    cases = [
        Case.of(module.kind.title, measure(module, rounds=3 if quick else 11))
        for module in map(published, asked_for(kinds, _KINDS))
    ]
    return [Result("Load until the first result", "s", cases, AIMS)]


def measure(module: Module, rounds: int) -> dict[str, list[float]]:
    """Seconds of each side and round.

    Raises:
        Disagreement: the first results differ.
    """
    batch = module.kind.sample(1, 0)
    runs = {side: partial(_first_result, load, module, batch) for side, load in LOADERS.items()}
    agreement.require_same(
        f"first result of {module.kind.title}", {side: first() for side, first in runs.items()}
    )
    return interleaved(runs, rounds)


def _first_result(load: Callable[[Module], Bind], module: Module, batch: np.ndarray) -> np.ndarray:
    return np.asarray(load(module)(batch)())
