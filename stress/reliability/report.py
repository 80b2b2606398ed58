"""Runs the parts and tells what came of them, as rows of one Markdown table."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from stress.hostile.exercise import Outcome
from stress.hostile.pool import try_mutants
from stress.reliability import writers
from stress.reliability.children import in_process

_SEED = 0


class Part(NamedTuple):
    """One kind of figures.

    Attributes:
        measure: from whether to be quick to figures.
        rows: from those to rows of the table: what was done, how often, what was
            found. What must not be, such as a mixture, has raised before.
    """

    measure: Callable[[bool], Any]
    rows: Callable[[Any], Iterator[tuple[str, str, str]]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--part", action="append", choices=PARTS, help="only this one; may be repeated"
    )


def run(arguments: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Measures all parts, or those asked for; a report in Markdown, and the figures."""
    figures = {name: PARTS[name].measure(arguments.quick) for name in arguments.part or PARTS}
    return table(figures), figures


def table(figures: Mapping[str, Any]) -> str:
    """Figures of parts in Markdown."""
    rows = [row for name, found in figures.items() for row in PARTS[name].rows(found)]
    head = ["| what | how often | found |", "|---|---|---|"]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows)])


# --- faults ---


def _faults(quick: bool) -> dict[str, Any]:
    rounds = 10 if quick else 40  # Of each kind for each writer: 200 kills and more in all.
    return {name: in_process("faults", "run", name, rounds, _SEED) for name in writers.WRITERS}


def _fault_rows(figures: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    writers_of: dict[str, dict[str, dict[str, int]]] = {}
    for name, found in figures.items():
        for kind, counts in found.items():
            writers_of.setdefault(kind, {})[name] = counts
    for kind, by_writer in writers_of.items():
        rounds = {counts["rounds"] for counts in by_writer.values()}
        seen = (
            f"{_sum(by_writer, 'during a write')} left a hidden folder, removed by the next write"
            if kind == "killed"
            else f"{_sum(by_writer, 'refused')} told as an error, nothing left behind"
        )
        yield (
            f"{kind}: {', '.join(by_writer)}",
            f"{'/'.join(map(str, sorted(rounds)))} rounds each",
            f"old state or new; {seen}",
        )


def _sum(by_writer: Mapping[str, Mapping[str, int]], key: str) -> int:
    return sum(counts[key] for counts in by_writer.values())


# --- concurrency ---


def _concurrency(quick: bool) -> dict[str, Any]:
    return {
        "threads": in_process("threads", "run", 5 if quick else 50),
        "sharing": in_process("sharing", "run", *((20, 5) if quick else (200, 40)), _SEED),
    }


def _concurrency_rows(figures: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    threads = dict(figures["threads"])
    number, calls = threads.pop("threads"), threads.pop("calls")
    for way, wrong in threads.items():
        yield f"{number} threads: {way}", f"{number * calls} calls", f"{wrong} wrong results"
    shared = figures["sharing"]
    yield (
        f"{shared['processes']} processes share a cache, {shared['killed']} times one is killed",
        f"{shared['modules']} modules",
        f"{shared['whole at the end']} whole, {shared['fetched']} fetches, "
        f"{len(shared['errors'])} errors, {shared['left folders']} hidden folders",
    )


# --- long runs ---


def _long_runs(quick: bool) -> dict[str, Any]:
    return {
        "rounds": in_process("endurance", "load_use_drop", 50 if quick else 1000),
        "calls": in_process("endurance", "varied_calls", 500 if quick else 10_000),
    }


def _long_run_rows(figures: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for found in figures.values():
        curve = found["MB resident"]
        half = len(curve) // 2
        memory = (
            f"at most {max(curve[:half]):.1f} MB in the first half, {max(curve[half:]):.1f} in the "
            f"second ({found['KB risen per round']:+.2f} KB each)"
        )
        if "rounds" in found:
            yield "load, call, take gradients, drop", f"{found['rounds']} rounds", memory
        else:
            yield (
                f"calls of {found['shapes']} shapes",
                f"{found['calls']} calls",
                f"{found['graphs imported']} graphs imported, "
                f"{found['traces of the function around']} traces around them; {memory}",
            )


# --- determinism ---


def _determinism(quick: bool) -> dict[str, Any]:  # noqa: ARG001
    return in_process("determinism", "run")


def _determinism_rows(found: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    yield (
        f"fine-tuning with dropout, {found['seeds']} seeds, in two processes",
        f"{found['runs']} runs",
        f"{found['different results']} different results, to the bit",
    )


# --- broken and hostile modules ---


def _mutants(quick: bool) -> dict[str, Any]:
    results = list(try_mutants(_SEED, range(20 if quick else 400), os.cpu_count() or 1))
    outcomes = Counter(result.outcome.value for result in results)
    findings = [asdict(result) for result in results if result.is_finding]
    return {"tried": len(results), "outcomes": dict(outcomes), "findings": findings}


def _mutant_rows(found: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    ended = "; ".join(f"{found['outcomes'].get(each.value, 0)} {each.value}" for each in Outcome)
    yield "broken and hostile modules", f"{found['tried']} mutants", ended


PARTS = {
    "faults": Part(_faults, _fault_rows),
    "concurrency": Part(_concurrency, _concurrency_rows),
    "long-runs": Part(_long_runs, _long_run_rows),
    "determinism": Part(_determinism, _determinism_rows),
    "mutants": Part(_mutants, _mutant_rows),
}
