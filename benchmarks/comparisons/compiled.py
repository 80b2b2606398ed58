"""One call from NumPy arrays to NumPy arrays: hub.compile, its engines, and engines by hand."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

import numpy as np

from benchmarks import agreement
from benchmarks.figures import Case, Result
from benchmarks.kinds import asked_for, published
from benchmarks.kinds.kind import Module
from benchmarks.sides import BEST, COMPILED, KERAS_LAYER
from benchmarks.sides.inference import RUNNERS, LeftOut, Runner
from benchmarks.timing import interleaved

SIZES = (1, 16, 64)
_AIMS = {BEST: 1.05}
# Kind and size of the batch -> more of them.
_AIMS_OF = {
    ("cnn", 1): {KERAS_LAYER: 0.25},
    ("cnn", 64): {KERAS_LAYER: 0.6},
    ("transformer", 1): {KERAS_LAYER: 0.5},
}
# An engine's threads are still after a few milliseconds.
_SETTLE = 0.03


def run(quick: bool, kinds: Collection[str]) -> list[Result]:
    """Measures all sides on kinds of module, at several sizes of the batch."""
    rounds, at_least = (3, 0.03) if quick else (11, 0.1)
    of_kinds = [measure(published(name), SIZES, rounds, at_least) for name in asked_for(kinds)]
    return [
        Result(f"One call, batch {size}", "s", list(cases), _AIMS, subject=COMPILED)
        for size, cases in zip(SIZES, zip(*of_kinds, strict=True), strict=True)
    ]


def measure(module: Module, sizes: Sequence[int], rounds: int, at_least: float) -> list[Case]:
    """A case for each size of the batch; a side is prepared once for all.

    Raises:
        Disagreement: the results differ.
    """
    kind = module.kind
    batches = [kind.sample(size, 0) for size in sizes]
    ready, left_out = _prepared(module, batches)
    notes = left_out | {side: runner.note for side, runner in ready.items() if runner.note}
    cases = []
    for size, batch in zip(sizes, batches, strict=True):
        runs = {side: partial(runner.run, batch) for side, runner in ready.items()}
        agreement.require_same(
            f"{size} {kind.items} through {kind.title}", {side: r() for side, r in runs.items()}
        )
        seconds = interleaved(runs, rounds, at_least, settle=_SETTLE, rounds_if_far_slower=3)
        case = Case.of(
            kind.title,
            seconds,
            COMPILED,
            items=size,
            aims=_AIMS_OF.get((kind.name, size), {}),
            notes=notes,
        )
        cases.append(case.with_best(COMPILED))
    return cases


def _prepared(
    module: Module, batches: Sequence[np.ndarray]
) -> tuple[dict[str, Runner], dict[str, str]]:
    """Sides that can run a module, and why others cannot."""
    ready, left_out = dict[str, Runner](), dict[str, str]()
    for side, prepare in RUNNERS.items():
        try:
            ready[side] = prepare(module, batches)
        except LeftOut as reason:
            left_out[side] = f"left out. {reason}"
    return ready, left_out
