"""The command: tries mutants, and tells how they ended."""

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

from stress.reaching.outcomes import FINDINGS, Outcome
from stress.reaching.pool import Pool, Result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``python -m stress reaching``."""
    parser.add_argument("--mutants", type=int, default=10_000, help="how many (10000)")
    parser.add_argument("--seconds", type=float, help="how long at most")
    parser.add_argument("--seed", type=int, default=0, help="which mutants (0)")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first number (0)")
    parser.add_argument(
        "--only", type=int, nargs="+", metavar="NUMBER", help="these mutants of the seed alone"
    )
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count() or 1, help="workers (one per processor)"
    )
    parser.add_argument(
        "--canary",
        action="store_true",
        help="see what is done in one folder, as where the kernel does not tell all",
    )


def run(arguments: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Tries mutants; a report in Markdown, and the figures."""
    count = min(arguments.mutants, 200) if arguments.quick else arguments.mutants
    numbers = arguments.only or range(arguments.first, arguments.first + count)
    pool = Pool(arguments.processes, watched=not arguments.canary)
    began = time.monotonic()
    results = []
    for result in pool.tried(arguments.seed, _until(numbers, arguments.seconds)):
        results.append(result)
        if result.is_finding:
            print(_told(result), file=sys.stderr, flush=True)
    took = time.monotonic() - began
    findings = [result for result in results if result.is_finding]
    figures = {
        "seed": arguments.seed,
        "oracle": pool.oracle,
        "tried": len(results),
        "seconds": took,
        "outcomes": {outcome.value: _count(results, outcome) for outcome in Outcome},
        "mutators": {
            name: {outcome.value: count for outcome, count in counted.items()}
            for name, counted in sorted(_by_mutator(results).items())
        },
        "findings": [asdict(finding) for finding in sorted(findings, key=lambda r: r.number)],
    }
    lines = [*_table(results, took, pool.oracle)]
    lines += map(_told, results if arguments.only else [])
    return "\n".join(lines), figures


def _until(numbers: Sequence[int], seconds: float | None) -> Iterator[int]:
    end = time.monotonic() + (seconds if seconds is not None else float("inf"))
    return itertools.takewhile(lambda _: time.monotonic() < end, numbers)


def _count(results: Sequence[Result], outcome: Outcome) -> int:
    return sum(result.outcome is outcome for result in results)


def _by_mutator(results: Sequence[Result]) -> dict[str, Counter[Outcome]]:
    counted: dict[str, Counter[Outcome]] = {}
    for result in results:
        counted.setdefault((*result.mutators, "none")[0], Counter())[result.outcome] += 1
    return counted


def _table(results: Sequence[Result], seconds: float, oracle: str) -> Iterator[str]:
    yield f"{len(results)} mutants in {seconds:.0f} s; the slowest took " + (
        f"{max((result.seconds for result in results), default=0.0):.0f} s; seen: {oracle}"
    )
    yield ""
    yield "| how they ended | mutants |"
    yield "|---|---|"
    for outcome in Outcome:
        yield f"| {outcome.value} | {_count(results, outcome)} |"
    yield ""
    yield "| changed by | mutants | refused by safe mode | refused as damaged | ran | findings |"
    yield "|---|---|---|---|---|---|"
    for name, counted in sorted(_by_mutator(results).items()):
        figures = [
            sum(counted.values()),
            counted[Outcome.UNSAFE],
            counted[Outcome.DAMAGED],
            counted[Outcome.RAN] + counted[Outcome.COMPUTING] + counted[Outcome.ENDLESS],
            sum(counted[outcome] for outcome in FINDINGS),
        ]
        yield f"| {name} | " + " | ".join(map(str, figures)) + " |"
    yield ""


def _told(result: Result) -> str:
    return "\n".join(
        [
            f"mutant {result.number} of seed {result.seed}: {result.outcome.value}",
            *(
                f"  {result.base}: {name}: {told}"
                for name, told in zip(result.mutators, result.told, strict=False)
            ),
            *(
                f"  {step.name}: {step.outcome.value}: {step.error}"
                for step in result.steps
                if step.outcome in FINDINGS
            ),
            f"  again: python -m stress reaching --seed {result.seed} --only {result.number}",
        ]
    )
