"""Results as Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import keras
import tensorflow as tf

from benchmarks.figures import Case, Result
from benchmarks.sides import BEST


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    gpus = [
        tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    load = ", ".join(f"{average:.1f}" for average in os.getloadavg())
    return {
        "TensorFlow": tf.__version__,
        "Keras": keras.__version__,
        "Python": platform.python_version(),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "GPU": ", ".join(gpus) or "none",
        "load average at the start (1, 5, 15 minutes)": load,
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def markdown(results: Iterable[Result]) -> str:
    """Two tables per result: what was measured, and how its subject compares."""
    return "\n".join(line for result in results for line in _section(result))


def summaries(results: Iterable[Result]) -> list[str]:
    """For each subject one table of all comparisons but sweeps: the median ratios."""
    return ["\n".join(_summary(*each)) for each in by_subject(results).items()]


def by_subject(results: Iterable[Result]) -> dict[str, list[Result]]:
    """Subject -> all comparisons of it but sweeps."""
    found: dict[str, list[Result]] = {}
    for result in results:
        if not result.axis:
            found.setdefault(result.subject, []).append(result)
    return found


def _summary(subject: str, results: Sequence[Result]) -> Iterator[str]:
    others = list(dict.fromkeys(side for result in results for side in result.others))
    rows = (
        [f"{result.title}: {case.module}", *(_ratio(result, case, side) for side in others)]
        for result in results
        for case in result.cases
    )
    return _table([f"what {subject} takes, as a part of", *others], rows)


def _section(result: Result) -> Iterator[str]:
    yield f"### {result.title}"
    yield ""
    yield f"Median, and the middle half of the rounds, in {result.shown_unit}:"
    yield ""
    yield from _table(
        [_first_column(result), *result.sides],
        (
            [_name(case), *(_measured(result, case, side) for side in result.sides)]
            for case in result.cases
        ),
    )
    yield ""
    yield (
        f"{_what(result)} that {result.subject} takes, as a part of the other's "
        "(below 1 it takes less):"
    )
    yield ""
    yield from _table(
        [_first_column(result), *result.others],
        (
            [_name(case), *(_ratio(result, case, side) for side in result.others)]
            for case in result.cases
        ),
    )
    yield ""
    notes = [
        f"- {_name(case)}, {side}: {note}"
        for case in result.cases
        for side, note in case.notes.items()
    ]
    if notes:
        yield from (*notes, "")


def _table(head: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---|" + "---:|" * (len(head) - 1)
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _what(result: Result) -> str:
    return "The time" if result.unit == "s" else "The memory"


def _first_column(result: Result) -> str:
    return f"module, {result.axis}" if result.axis else "module"


def _name(case: Case) -> str:
    return case.module if case.at is None else f"{case.module}, {case.at:g}"


def _measured(result: Result, case: Case, side: str) -> str:
    if side not in case.measured:
        return ""
    spread = result.shown(case, side)
    low, median, high = map(show, (spread.low, spread.median, spread.high))
    return f"{median} ({low} to {high})" if low != high else median


def _ratio(result: Result, case: Case, side: str) -> str:
    if side not in case.ratio:
        return ""
    # Judged as shown: the next digit differs from run to run.
    ratio = round(case.ratio[side].median, 2)
    aim = result.aim(case, side)
    judged = "" if aim is None else f" ({'aim' if ratio <= aim else 'misses'} {aim:g})"
    which = f", {case.best(result.subject)}" if side == BEST else ""
    return f"{ratio:.2f}{judged}{which}"


def show(number: float) -> str:
    """A number with about three digits.

    >>> show(0.01234), show(12.34), show(12345.6)
    ('0.0123', '12.3', '12346')
    """
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.3g}"
