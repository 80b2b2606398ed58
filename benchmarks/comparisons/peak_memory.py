"""The most memory that loading and fine-tuning take, each side in a process of its own.

What is counted is resident memory above that of the same process with all
imports done and one op run.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf

from benchmarks.figures import Case, Result
from benchmarks.kinds import KINDS, asked_for, published
from benchmarks.kinds.kind import Module
from benchmarks.processes import printed_by_main
from benchmarks.resident import peak, resident
from benchmarks.sides import SESSION, TWIN
from benchmarks.sides.callers import CALLERS, LOADERS
from benchmarks.sides.trainers import TRAINERS, Examples

_TITLES = {
    "load": "Peak memory, load until the first result",
    "train": "Peak memory, fine-tuning",
}
_STEPS = 4
_MB = 1 << 20


def run(quick: bool, kinds: Collection[str]) -> list[Result]:
    """Measures all sides on kinds of module."""
    # Each figure takes a process that imports TensorFlow.
    kinds = asked_for(kinds, ("embedding",) if quick else KINDS)
    works = list(_TITLES)[:1] if quick else list(_TITLES)
    rounds = 1 if quick else 3
    return [
        Result(
            _TITLES[work], "MB", [_case(published(name), work, rounds) for name in kinds], aims={}
        )
        for work in works
    ]


def _case(module: Module, work: str, rounds: int) -> Case:
    sides = [side for side in _WORK[work] for _ in range(rounds)]
    # Nothing is timed here, so all cores may take part.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(partial(_in_process, module, work), sides))
    megabytes = {
        side: [f for s, f in zip(sides, found, strict=True) if s == side] for side in sides
    }
    return Case.of(module.kind.title, megabytes)


def _in_process(module: Module, work: str, side: str) -> float:
    arguments = [module.kind.name, module.path, module.megabytes, work, side]
    return float(printed_by_main(__name__, arguments))


def measure(module: Module, work: str, side: str) -> float:
    """MB at most above those of this process now, while a side does its work."""
    np.asarray(tf.ones([8, 8]) @ tf.ones([8, 8]))
    baseline = resident()
    with peak() as highest:
        _WORK[work][side](module)
    return (highest() - baseline) / _MB


def _load(side: str, module: Module) -> None:
    np.asarray(CALLERS[side](module)(module.kind.sample(1, 0))())


def _load_twin(module: Module) -> None:
    np.asarray(module.twin().model(tf.constant(module.kind.sample(1, 0))))


def _train(side: str, module: Module) -> None:
    TRAINERS[side](module, Examples.of(module.kind, _STEPS)).train(_STEPS)


_WORK: dict[str, dict[str, Callable[[Module], None]]] = {
    "load": {
        **{side: partial(_load, side) for side in (*LOADERS, SESSION)},
        TWIN: _load_twin,
    },
    "train": {side: partial(_train, side) for side in TRAINERS},
}


def main() -> None:
    """Measures one side in this process and prints the figure, for :func:`run`."""
    parser = argparse.ArgumentParser()
    for name in ("kind", "path", "megabytes", "work", "side"):
        parser.add_argument(name)
    given = parser.parse_args()
    module = Module(KINDS[given.kind], Path(given.path), float(given.megabytes))
    print(json.dumps(measure(module, given.work, given.side)))
