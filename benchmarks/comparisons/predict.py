"""``predict`` over many batches: images or sentences per second."""

from __future__ import annotations

from collections.abc import Collection

from benchmarks import agreement
from benchmarks.figures import Case, Result
from benchmarks.kinds import KINDS, QUICK_KINDS, asked_for, published
from benchmarks.kinds.kind import Module
from benchmarks.sides import KERAS_LAYER
from benchmarks.sides.predictors import PREDICTORS
from benchmarks.timing import interleaved

AIMS = {KERAS_LAYER: 0.85}
# About as many batches as take a second or two.
_BATCHES = {"cnn": 8, "transformer": 16, "lstm": 32, "embedding": 64}


def run(quick: bool, kinds: Collection[str]) -> list[Result]:
    """Measures all sides on kinds of module."""
    cases = []
    for name in asked_for(kinds, QUICK_KINDS if quick else KINDS):
        module, batches = published(name), max(2, _BATCHES[name] // (4 if quick else 1))
        size = module.kind.batch_size
        seconds = measure(module, batches, size, rounds=3 if quick else 11)
        cases.append(Case.of(module.kind.title, seconds, items=batches * size))
    return [Result("predict", "s", cases, AIMS, rate=True)]


def measure(module: Module, batches: int, size: int, rounds: int) -> dict[str, list[float]]:
    """Seconds per prediction of all batches, of each side and round.

    Args:
        module: the module.
        batches: how many.
        size: of one batch, in items.
        rounds: how many.

    Raises:
        Disagreement: the predictions differ.
    """
    inputs = module.kind.sample(batches * size, 0).reshape(batches, size, *module.kind.shape)
    runs = {side: prepare(module)(inputs) for side, prepare in PREDICTORS.items()}
    agreement.require_same(
        f"predictions of {module.kind.title}", {side: predict() for side, predict in runs.items()}
    )
    return interleaved(runs, rounds)
