"""One eager call of a loaded module on a batch of one."""

from __future__ import annotations

from collections.abc import Collection

from benchmarks import agreement
from benchmarks.figures import Case, Result
from benchmarks.kinds import asked_for, published
from benchmarks.kinds.kind import Module
from benchmarks.sides import BARE_FUNCTION, KERAS_LAYER
from benchmarks.sides.callers import CALLERS
from benchmarks.timing import interleaved

_AIMS = {BARE_FUNCTION: 1.3, KERAS_LAYER: 1.0}


def run(quick: bool, kinds: Collection[str]) -> list[Result]:
    """Measures all sides on kinds of module."""
    rounds, at_least = (5, 0.05) if quick else (15, 0.2)
    cases = [
        Case.of(module.kind.title, measure(module, 1, rounds, at_least))
        for module in map(published, asked_for(kinds))
    ]
    return [Result("One eager call, batch 1", "s", cases, _AIMS)]


def measure(module: Module, items: int, rounds: int, at_least: float) -> dict[str, list[float]]:
    """Seconds per call of each side and round, on a batch of some items.

    Raises:
        Disagreement: the results differ.
    """
    batch = module.kind.sample(items, 0)
    runs = {side: load(module)(batch) for side, load in CALLERS.items()}
    agreement.require_same(
        f"one call of {module.kind.title}", {side: call() for side, call in runs.items()}
    )
    return interleaved(runs, rounds, at_least)
