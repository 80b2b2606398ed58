"""Which engine runs a call: those that can are tried, and the fastest is taken."""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hub_keras_bridge.frontends.compiled.agreement import allowed, difference
from hub_keras_bridge.frontends.compiled.examples import size_of
from hub_keras_bridge.frontends.compiled.report import Report
from hub_keras_bridge.running.engines.engine import Engine, first_line
from hub_keras_bridge.running.frozen_call import Arrays, Run

TENSORFLOW = "tensorflow"

Batch = list[np.ndarray]

_ROUNDS = 3
_SECONDS = 0.1  # Of an engine in a round.
_FEWEST = 3  # Runs of it.
# What takes so many times as long as the fastest is not timed again.
_HOPELESS = 2.0


@dataclass(frozen=True)
class Checked:
    """Which engines compute TensorFlow's numbers.

    Attributes:
        runs: engine -> what runs a call.
        differences: engine -> the largest one from TensorFlow's numbers.
        excluded: engine -> why it is none of them.
    """

    runs: Mapping[str, Run]
    differences: Mapping[str, float]
    excluded: Mapping[str, str]


def checked(runs: Mapping[str, Run], batches: Sequence[Batch], *, exact: bool) -> Checked:
    """Compares engines with TensorFlow.

    Args:
        runs: engine -> what runs a call; TensorFlow among them.
        batches: what they are compared on.
        exact: whether numbers are to be TensorFlow's. With rounded weights they are
            not, and the difference is told.
    """
    reference = runs[TENSORFLOW]
    expected = [reference(flat) for flat in batches]
    others = {name: run for name, run in runs.items() if name != TENSORFLOW}
    draws = any(
        difference(once, reference(flat)) > allowed(once)
        for once, flat in zip(expected, batches, strict=True)
    )
    if others and draws:
        reason = "Calls draw random numbers, and these are TensorFlow's."
        return Checked({TENSORFLOW: reference}, {}, dict.fromkeys(others, reason))
    good, differences, excluded = {TENSORFLOW: reference}, dict[str, float](), dict[str, str]()
    for name, run in others.items():
        try:
            pairs = [(once, run(flat)) for once, flat in zip(expected, batches, strict=True)]
        except Exception as error:  # Of whatever class an engine has.
            excluded[name] = f"It fails: {first_line(error)}"
            continue
        off = max(difference(*pair) for pair in pairs)
        most = max(allowed(once) for once in expected)
        if np.isinf(off):
            excluded[name] = "It computes other shapes, other truth values, or no numbers."
        elif exact and off > most:
            excluded[name] = (
                f"It computes other numbers: they differ by {off:.2g} of the largest, where "
                f"{most:.2g} is allowed."
            )
        else:
            good[name], differences[name] = run, off
    return Checked(good, differences, excluded)


def timed(runs: Mapping[str, Run], batches: Sequence[Batch]) -> dict[int, dict[str, float]]:
    """Batch size -> engine -> seconds of a call.

    Engines run by turns, each for a while: right after another one, some still wait for
    its threads.
    """
    return {size_of(flat): _timed(runs, flat) for flat in batches}


def _timed(runs: Mapping[str, Run], flat: Batch) -> dict[str, float]:
    found: dict[str, float] = {}
    for _ in range(_ROUNDS):
        fastest = min(found.values(), default=float("inf"))
        gc.collect()
        for name, run in runs.items():
            if found.get(name, 0.0) <= _HOPELESS * fastest:
                found[name] = min(found.get(name, float("inf")), _seconds(run, flat))
    return found


def _seconds(run: Run, flat: Batch) -> float:
    """The median of some runs; the first, which may be preparing something, does not count."""
    run(flat)
    times: list[float] = []
    while len(times) < _FEWEST or sum(times) < _SECONDS:
        begin = time.perf_counter()
        run(flat)
        times.append(time.perf_counter() - begin)
    return float(np.median(times))


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
    tried = frozenset(map(_shapes, batches))

    def run(flat: Arrays) -> Arrays:
        nearest = np.argmin(np.abs(sizes - np.log(max(size_of(flat), 1))))
        first, any_shape = best[nearest]
        return first(flat) if first is any_shape or _shapes(flat) in tried else any_shape(flat)

    return run


def _best(times: Mapping[str, float], engines: Mapping[str, Engine]) -> tuple[str, str]:
    """The fastest engine, and the fastest of those that take any shape."""
    ranked = sorted(times, key=times.__getitem__)
    return ranked[0], next(
        name for name in ranked if name == TENSORFLOW or not engines[name].compiles_each_shape
    )


def _shapes(flat: Arrays) -> tuple[tuple[int, ...], ...]:
    return tuple(array.shape for array in flat)
