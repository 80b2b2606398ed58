"""Times sides in turns, so that whatever else the machine does hits all alike."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

_TRIALS = 5
# So many times as slow as the fastest is far slower.
_FAR = 4.0


@dataclass(frozen=True)
class Spread:
    """The median of some rounds, and between what half of them lie.

    >>> Spread.of([3.0, 1.0, 2.0, 5.0, 4.0])
    Spread(median=3.0, low=2.0, high=4.0)
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        low, median, high = np.percentile(values, [25, 50, 75])
        return cls(float(median), float(low), float(high))


def interleaved(
    runs: Mapping[str, Callable[[], Any]],
    rounds: int,
    at_least: float = 0.0,
    clock: Callable[[], Any] = time.perf_counter,
    *,
    settle: float = 0.0,
    rounds_if_far_slower: int | None = None,
) -> dict[str, list[Any]]:
    """Seconds per run of each side, one figure per round.

    Every round times all sides one after another; the next begins with the
    next side. Each side is run before, once or a few times.

    Args:
        runs: side -> what to time.
        rounds: how many.
        at_least: seconds that a side is run for in a round, as often as fits.
        clock: seconds; without ``at_least``, also an array of what several meters show.
        settle: seconds that a side is run for before it is timed in a round, once at
            least; not at all if 0. Some keep their threads waiting busily for
            the next run, which slows the side after them.
        rounds_if_far_slower: the first so many rounds are all for a side of which one
            run takes longer than ``at_least``, and far longer than the fastest's.
    """
    once = {side: _once(run, at_least, clock) for side, run in runs.items()}
    counts = {side: max(1, round(at_least / max(once[side], 1e-9))) for side in runs}
    last = dict.fromkeys(runs, rounds)
    if rounds_if_far_slower is not None:
        limit = max(at_least, _FAR * min(once.values()))
        last |= {side: rounds_if_far_slower for side in runs if once[side] > limit}
    seconds: dict[str, list[Any]] = {side: [] for side in runs}
    sides = list(runs)
    for number in range(rounds):
        start = number % len(sides)
        # What earlier rounds left is not to be cleared away in the middle.
        gc.collect()
        for side in sides[start:] + sides[:start]:
            if number < last[side]:
                if settle:
                    _run_for(runs[side], settle, clock)
                seconds[side].append(_seconds(runs[side], counts[side], clock) / counts[side])
    return seconds


def _once(run: Callable[[], Any], at_least: float, clock: Callable[[], Any]) -> float:
    """About how long one run takes, if it matters."""
    # The first run may trace and compile.
    run()
    found: list[float] = []
    # The shortest of some, since one may be held up by something else.
    while len(found) < _TRIALS and sum(found) < at_least:
        found.append(_seconds(run, 1, clock))
    return min(found, default=0.0)


def _run_for(run: Callable[[], Any], seconds: float, clock: Callable[[], float]) -> None:
    end = clock() + seconds
    while clock() < end:
        run()


def _seconds(run: Callable[[], Any], count: int, clock: Callable[[], Any]) -> Any:
    _wait_for_devices()
    begin = clock()
    for _ in range(count):
        run()
    _wait_for_devices()
    return clock() - begin


def _wait_for_devices() -> None:
    """A GPU works on after a call has returned; a CPU does not."""
    if tf.config.list_physical_devices("GPU"):
        tf.test.experimental.sync_devices()


def ratios(seconds: Mapping[str, Sequence[float]], side: str) -> dict[str, Spread]:
    """One side's time as a part of each other's, round by round of those that both ran.

    >>> ratios({"a": [1.0, 2.0, 2.0], "b": [2.0, 4.0, 4.0]}, "a")["b"].median
    0.5
    """
    pairs = {
        other: zip(seconds[side], values, strict=False)
        for other, values in seconds.items()
        if other != side
    }
    return {other: Spread.of([own / its for own, its in each]) for other, each in pairs.items()}
