"""The command: tries mutants for some time, and tells how they ended."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from stress.hostile.exercise import Outcome
from stress.hostile.pool import Result, try_mutants


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``python -m stress mutants``."""
    parser.add_argument("--seconds", type=float, default=600.0, help="how long (600)")
    parser.add_argument("--seed", type=int, default=0, help="which mutants (0)")
    parser.add_argument(
        "--only", type=int, nargs="+", metavar="NUMBER", help="these mutants of the seed alone"
    )
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count() or 1, help="workers (one per processor)"
    )


def run(arguments: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Tries mutants; a report in Markdown, and the figures."""
    seconds = min(arguments.seconds, 60.0) if arguments.quick else arguments.seconds
    numbers = arguments.only or _until(seconds)
    began = time.monotonic()
    results = []
    for result in try_mutants(arguments.seed, numbers, arguments.processes):
        results.append(result)
        if result.is_finding:
            print(_told(result), file=sys.stderr, flush=True)
    took = time.monotonic() - began
    findings = [result for result in results if result.is_finding]
    figures = {
        "seed": arguments.seed,
        "tried": len(results),
        "seconds": took,
        "outcomes": {outcome.value: _count(results, outcome) for outcome in Outcome},
        "findings": [asdict(finding) for finding in findings],
    }
    lines = [*_table(results, took), *map(_told, results if arguments.only else findings)]
    return "\n".join(lines), figures


def _until(seconds: float) -> Iterator[int]:
    end = time.monotonic() + seconds
    return itertools.takewhile(lambda _: time.monotonic() < end, itertools.count())


def _count(results: Sequence[Result], outcome: Outcome) -> int:
    return sum(result.outcome is outcome for result in results)


def _table(results: Sequence[Result], seconds: float) -> Iterator[str]:
    yield f"{len(results)} mutants in {seconds:.0f} s; the slowest took " + (
        f"{max((result.seconds for result in results), default=0.0):.0f} s"
    )
    yield ""
    yield "| how they ended | mutants |"
    yield "|---|---|"
    counted = Counter(result.outcome for result in results)
    for outcome in Outcome:
        yield f"| {outcome.value} | {counted[outcome]} |"
    yield ""


def _told(result: Result) -> str:
    return "\n".join(
        [
            f"mutant {result.number} of seed {result.seed}: {result.outcome.value}",
            f"  {result.base}: {', '.join(result.mutations)}",
            f"  step {result.step}; {result.seconds:.1f} s",
            f"  {result.error}",
            f"  again: python -m stress mutants --seed {result.seed} --only {result.number}",
        ]
    )
