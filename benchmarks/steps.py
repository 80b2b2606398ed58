"""A step of fine-tuning beside a TF1 session's, in several processes: how far they differ.

Each process times a session and two layers that are alike, by turns: by the clock, and by the
processor, which other programs on the machine disturb less. What differs from one process to
the next is memory: the C library hands some of what a step frees back to the system, which
clears each page that is touched again. Such page faults are counted.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.comparisons import fine_tune
from benchmarks.kinds import KINDS, QUICK_KINDS, published
from benchmarks.kinds.kind import Module
from benchmarks.processes import printed_by_main
from benchmarks.resident import page_faults
from benchmarks.sides import OURS, SESSION
from benchmarks.sides.trainers import TRAINERS
from benchmarks.timing import interleaved

_AGAIN = f"{OURS} once more"
_SIDES = {OURS: TRAINERS[OURS], SESSION: TRAINERS[SESSION], _AGAIN: TRAINERS[OURS]}
_METERS = {"clock": time.perf_counter, "processor": time.process_time, "page_faults": page_faults}

# Side -> what each meter shows of a step, the median of the rounds.
Found = dict[str, dict[str, float]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds in how many processes."""
    parser.add_argument(
        "--processes", type=int, default=5, metavar="N", help="how many; by default %(default)s"
    )


def run(given: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Measures; a report in Markdown, and the figures."""
    names = QUICK_KINDS if given.quick else tuple(KINDS)
    rounds, part = (3, 4) if given.quick else (7, 2)
    found: dict[str, list[Found]] = {name: [] for name in names}
    for _ in range(given.processes):
        for name in names:
            steps = max(4, fine_tune.STEPS[name] // part)
            found[name].append(_in_process(published(name), steps, rounds))
    return table(found), {"rounds": rounds, "figures": found}


def _in_process(module: Module, steps: int, rounds: int) -> Found:
    arguments = [module.kind.name, module.path, module.megabytes, steps, rounds]
    figures: Found = printed_by_main(__name__, arguments)
    return figures


def main() -> None:
    """Measures a module in this process and prints the figures, for :func:`run`."""
    name, path, megabytes, *counts = sys.argv[1:]
    print(json.dumps(measure(Module(KINDS[name], Path(path), float(megabytes)), *map(int, counts))))


def measure(module: Module, steps: int, rounds: int) -> Found:
    """Seconds of the clock and of the processor, and page faults per step, of each side.

    Raises:
        Disagreement: the loss, or what the first step does to the weights, differs.
    """
    runs = fine_tune.prepared(module, steps, _SIDES)
    shown = interleaved(runs, rounds, clock=lambda: np.array([read() for read in _METERS.values()]))
    return {
        side: dict(zip(_METERS, (np.median(found, axis=0) / steps).tolist(), strict=True))
        for side, found in shown.items()
    }


def table(found: dict[str, list[Found]]) -> str:
    """A line per kind of module, each figure over its processes."""
    lines = [
        "A step of fine-tuning, in processes of its own: median (lowest to highest process).",
        "",
        f"| module | processes | ms of a {SESSION} | {OURS}, as a part of it | by the processor "
        f"| {_AGAIN}, as a part of the first | page faults of a {SESSION} | of {OURS} |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, processes in found.items():
        clock, processor, faults = (
            {side: np.array([each[side][meter] for each in processes]) for side in _SIDES}
            for meter in _METERS
        )
        shown = [
            _spread(1000 * clock[SESSION], ".1f"),
            *(_spread(each[OURS] / each[SESSION], ".2f") for each in (clock, processor)),
            _spread(clock[_AGAIN] / clock[OURS], ".2f"),
            *(_spread(faults[side]) for side in (SESSION, OURS)),
        ]
        lines.append(f"| {' | '.join([KINDS[name].title, str(len(processes)), *shown])} |")
    return "\n".join(lines)


def _spread(values: np.ndarray, digits: str = ".0f") -> str:
    low, median, high = (f"{np.percentile(values, part):{digits}}" for part in (0, 50, 100))
    return f"{median} ({low} to {high})"
