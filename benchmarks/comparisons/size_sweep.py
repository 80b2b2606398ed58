"""How times grow with the batch and with the module."""

from __future__ import annotations

from collections.abc import Collection

from benchmarks.comparisons import load, predict
from benchmarks.figures import Case, Result
from benchmarks.kinds import KINDS, asked_for, published

_KINDS = ("cnn", "embedding")
_QUICK_KINDS = ("embedding",)


def run(quick: bool, kinds: Collection[str]) -> list[Result]:
    """Predicts batches of several sizes, and loads modules of several sizes."""
    kinds = asked_for(kinds, _QUICK_KINDS if quick else _KINDS)
    sizes = (1, 16) if quick else (1, 4, 16, 64, 256)
    megabytes = (1, 25) if quick else (1, 5, 25, 100, 500)
    rounds = 3 if quick else 5
    return [
        Result(
            "predict, by size of the batch",
            "s",
            [_predict(name, size, rounds, quick) for name in kinds for size in sizes],
            predict.AIMS,
            axis="items per batch",
            rate=True,
        ),
        Result(
            "Load until the first result, by size of the module",
            "s",
            [_load(name, size, rounds) for name in kinds for size in megabytes],
            load.AIMS,
            axis="MB of weights",
        ),
    ]


def _predict(name: str, size: int, rounds: int, quick: bool) -> Case:
    module = published(name)
    # Enough of them that the start of predict() does not count for all.
    batches = 2 if quick else max(2, 64 // size)
    seconds = predict.measure(module, batches, size, rounds)
    return Case.of(KINDS[name].title, seconds, at=size, items=batches * size)


def _load(name: str, megabytes: float, rounds: int) -> Case:
    seconds = load.measure(published(name, megabytes), rounds)
    return Case.of(KINDS[name].title, seconds, at=megabytes)
