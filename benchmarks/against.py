"""The time to load a module, beside that of another checkout of this package.

Each side runs in processes of its own, by turns; both load the same folders. Time is
that of the processor, which other programs on the machine disturb less, and of the
clock. The first load of a process is told apart from those that follow.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import hub_keras_bridge as hub
from benchmarks.kinds import KINDS
from benchmarks.processes import printed_by
from benchmarks.timing import Spread

_ROOT = Path(__file__).parent.parent
_HERE, _OTHER = "here", "there"
_FIRST, _AGAIN = "first load", "later loads"
_TF2 = "-tf2"

# Side -> case -> which load -> for each, seconds of the processor and of the clock.
Seconds = dict[str, dict[str, dict[str, list[tuple[float, float]]]]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the path of the other checkout."""
    parser.add_argument(
        "--checkout", type=Path, required=True, metavar="FOLDER", help="the other checkout"
    )


def run(given: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Measures; a report in Markdown, and the figures."""
    rounds, loads = (2, 3) if given.quick else (10, 6)
    sides = {_HERE: _ROOT, _OTHER: given.checkout.resolve()}
    seconds: Seconds = {side: {} for side in sides}
    with tempfile.TemporaryDirectory() as folder:
        _publish(Path(folder))
        for number in range(rounds):
            order = list(sides) if number % 2 else list(sides)[::-1]
            for side in order:
                for case, found in _in_process(sides[side], folder, loads).items():
                    kinds = seconds[side].setdefault(case, {_FIRST: [], _AGAIN: []})
                    kinds[_FIRST].append(found[0])
                    kinds[_AGAIN] += found[1:]
    return _table(seconds, rounds), {"rounds": rounds, "seconds": seconds}


def _publish(folder: Path) -> None:
    """One module of each kind, and the same as a TF2 SavedModel, each with an input."""
    for name, kind in KINDS.items():
        module = kind.publish(folder / name, kind.megabytes)
        tf.saved_model.save(hub.load(module.path), str(folder / f"{name}{_TF2}"))
        os.rename(module.path, folder / f"{name}-tf1")
        # Text as what a file can hold.
        sample = np.asarray(kind.sample(1, 0))
        np.save(folder / f"{name}.npy", sample.astype("S") if sample.dtype == object else sample)


def _in_process(checkout: Path, folder: str, loads: int) -> dict[str, list[tuple[float, float]]]:
    arguments = [str(_ROOT / "benchmarks" / "loads.py"), folder, str(loads)]
    found: dict[str, list[tuple[float, float]]] = printed_by(
        arguments, checkout, PYTHONPATH=str(checkout)
    )
    return found


def _table(seconds: Seconds, rounds: int) -> str:
    lines = [
        "Load until the first result, of this checkout as a part of the other's, in "
        f"{rounds} processes each: medians (half of the bootstrapped ratios lie in the brackets).",
        "",
        "| module | load | ms there | processor | clock |",
        "|---|---|---|---|---|",
    ]
    for case, kinds in seconds[_HERE].items():
        for load, here in kinds.items():
            there = seconds[_OTHER][case][load]
            shown = [_ratio(here, there, clock) for clock in (0, 1)]
            before = 1e3 * float(np.median([pair[0] for pair in there]))
            lines.append(f"| {case} | {load} | {before:.0f} | {shown[0]} | {shown[1]} |")
    return "\n".join(lines)


def _ratio(here: list[tuple[float, float]], there: list[tuple[float, float]], clock: int) -> str:
    mine, others = (np.asarray(values)[:, clock] for values in (here, there))
    draw = np.random.default_rng(0).choice
    again = [
        np.median(draw(mine, len(mine))) / np.median(draw(others, len(others))) for _ in range(1000)
    ]
    spread = Spread.of(again)
    ratio = float(np.median(mine) / np.median(others))
    return f"{ratio:.3f} ({spread.low:.3f} to {spread.high:.3f})"
