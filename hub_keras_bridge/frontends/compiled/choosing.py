"""Which engine runs a call: those that can are tried, and the fastest is taken."""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from hub_keras_bridge.errors import EngineError
from hub_keras_bridge.frontends.compiled.agreement import allowed, difference
from hub_keras_bridge.frontends.compiled.examples import shapes_of, size_of
from hub_keras_bridge.frontends.compiled.report import Report
from hub_keras_bridge.running.engines.engine import Engine, first_line
from hub_keras_bridge.running.frozen_call import Arrays, Run

TENSORFLOW = "tensorflow"

Batch: TypeAlias = Arrays

_ROUNDS = 3
_SECONDS = 0.1  # Of an engine in a round.
_FEWEST = 3  # Runs of it.
# What takes at most so many times as long as the fastest may be the faster.
_CLOSE = 1.2
# What takes so many times as long as the fastest is not tried again.
_HOPELESS = 3.0


@dataclass(frozen=True)
class Found:
    """What was found out about engines.

    Attributes:
        times: batch size -> engine -> seconds of a call; empty where there was no choice.
        differences: engine -> the largest one from TensorFlow's numbers.
        excluded: engine -> why it is not to be used.
    """

    times: Mapping[int, Mapping[str, float]]
    differences: Mapping[str, float]
    excluded: Mapping[str, str]


def tried(runs: Mapping[str, Run], batches: Sequence[Batch], *, exact: bool, clock: bool) -> Found:
    """Compares engines with TensorFlow, and with each other.

    What is far slower than the fastest is not tried on larger batches: it may take
    long, and there are none that it would be faster on.

    Args:
        runs: engine -> what runs a call; TensorFlow among them.
        batches: what they are tried on.
        exact: whether numbers are to be TensorFlow's. With rounded weights they are
            not, and the difference is told.
        clock: whether they are timed.
    """
    reference = runs[TENSORFLOW]
    left = dict(runs)
    times, differences, excluded = (
        dict[int, dict[str, float]](),
        dict[str, float](),
        dict[str, str](),
    )
    for flat in sorted(batches, key=size_of):
        expected = reference(flat)
        if len(runs) > 1 and difference(expected, reference(flat)) > allowed(expected):
            others = [name for name in runs if name != TENSORFLOW]
            reason = "Calls draw random numbers, and these are TensorFlow's."
            return Found({}, {}, dict.fromkeys(others, reason))
        for name in [name for name in left if name != TENSORFLOW]:
            off, flaw = _compared(left[name], flat, expected, exact)
            if flaw:
                excluded[name] = flaw
                del left[name]
            else:
                differences[name] = max(off, differences.get(name, 0.0))
        if clock and len(left) > 1:
            found = times[size_of(flat)] = _timed(left, flat)
            hopeless = _HOPELESS * min(found.values())
            left = {n: r for n, r in left.items() if n == TENSORFLOW or found[n] <= hopeless}
    return Found(
        {
            size: {name: each for name, each in of_size.items() if name not in excluded}
            for size, of_size in times.items()
        },
        {name: each for name, each in differences.items() if name not in excluded},
        excluded,
    )


def _compared(run: Run, flat: Batch, expected: Arrays, exact: bool) -> tuple[float, str | None]:
    """The difference from TensorFlow's numbers, and what is wrong with an engine."""
    try:
        off = difference(expected, run(flat))
    except Exception as error:  # Of whatever class an engine has.
        found = error.found if isinstance(error, EngineError) else None
        return 0.0, f"It fails: {found or first_line(error)}"
    if np.isinf(off):
        return off, "It computes other shapes, other truth values, or no numbers."
    if not exact or off <= (most := allowed(expected)):
        return off, None
    return off, (
        f"It computes other numbers: they differ by {off:.2g} of the largest, where "
        f"{most:.2g} is allowed."
    )


def _timed(runs: Mapping[str, Run], flat: Batch) -> dict[str, float]:
    """Seconds of a call of each engine: the median of some.

    They run by turns, each for a while: right after another one, some still wait for its
    threads. Those that are next to the fastest run some more.
    """
    # Each has run before, so that once more tells what is hopeless.
    found = {name: [_seconds_of_one(run, flat)] for name, run in runs.items()}
    for near in (_HOPELESS, *[_CLOSE] * _ROUNDS):
        medians = {name: float(np.median(times)) for name, times in found.items()}
        left = [name for name in runs if medians[name] <= near * min(medians.values())]
        if len(left) == 1:
            break
        gc.collect()
        for name in left:
            found[name] += _seconds(runs[name], flat)
    return {name: float(np.median(times)) for name, times in found.items()}


def _seconds(run: Run, flat: Batch) -> list[float]:
    """Of some runs; the first, right after another engine's, does not count."""
    _seconds_of_one(run, flat)
    times: list[float] = []
    while len(times) < _FEWEST or sum(times) < _SECONDS:
        times.append(_seconds_of_one(run, flat))
    return times


def _seconds_of_one(run: Run, flat: Batch) -> float:
    begin = time.perf_counter()
    # As a call returns them: of a GPU's tensor, that waits for it.
    for value in run(flat):
        np.asarray(value)
    return time.perf_counter() - begin


def needed(report: Report, engines: Mapping[str, Engine]) -> set[str]:
    """The engines that some call may be run by."""
    if not report.times:
        return set(report.engines)
    return {name for times in report.times.values() for name in _best(times, engines)}


def dispatch(
    runs: Mapping[str, Run],
    report: Report,
    engines: Mapping[str, Engine],
    batches: Sequence[Batch],
) -> Run:
    """Runs each call by the engine that is fastest for its size.

    An engine that compiles each shape takes only inputs of shapes that it was tried on.

    Args:
        runs: engine -> what runs a call, of those that are :func:`needed`.
        report: what was found out about them.
        engines: by name, TensorFlow apart.
        batches: what they were tried on.
    """
    if len(used := needed(report, engines)) == 1:
        return runs[used.pop()]
    sizes = np.log([max(size, 1) for size in report.times])
    best = [
        (runs[first], runs[any_shape])
        for first, any_shape in (_best(times, engines) for times in report.times.values())
    ]
    tried = frozenset(map(shapes_of, batches))

    def run(flat: Arrays) -> Arrays:
        nearest = np.argmin(np.abs(sizes - np.log(max(size_of(flat), 1))))
        first, any_shape = best[nearest]
        return first(flat) if first is any_shape or shapes_of(flat) in tried else any_shape(flat)

    return run


def _best(times: Mapping[str, float], engines: Mapping[str, Engine]) -> tuple[str, str]:
    """The fastest engine, and the fastest of those that take any shape."""
    ranked = sorted(times, key=times.__getitem__)
    return ranked[0], next(
        name for name in ranked if name == TENSORFLOW or not engines[name].compiles_each_shape
    )
