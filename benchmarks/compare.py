"""All comparisons, or those asked for: a table, the figures, and plots in a folder."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import plots
from benchmarks.comparisons import COMPARISONS
from benchmarks.figures import Result
from benchmarks.kinds import KINDS, asked_for
from benchmarks.report import by_subject, machine, markdown, summaries

_FOLDER = Path("benchmark_results")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds which comparisons, and where to."""
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        choices=[*COMPARISONS, []],
        help=f"which; by default all of {', '.join(COMPARISONS)}",
    )
    parser.add_argument(
        "--kinds",
        nargs="+",
        metavar="KIND",
        choices=list(KINDS),
        default=list(KINDS),
        help=f"of module; by default all of {', '.join(KINDS)}",
    )
    parser.add_argument(
        "--folder", type=Path, default=_FOLDER, help="of the results; by default %(default)s"
    )


def run(arguments: argparse.Namespace) -> tuple[str, object]:
    """Measures, and writes what there is after each comparison.

    Returns:
        A report in Markdown, and the figures.
    """
    facts = {
        **machine(),
        "kinds": ", ".join(asked_for(arguments.kinds)),
        "rounds": "few (--quick)" if arguments.quick else "all",
    }
    found: dict[str, list[Result]] = {}
    for name in arguments.names or COMPARISONS:
        results = COMPARISONS[name](arguments.quick, arguments.kinds)
        found[name] = [result for result in results if result.cases]
        report, figures = _report(facts, found), _figures(facts, found)
        write(arguments.folder, report, figures, found)
    return report, figures


def _report(facts: dict[str, str], found: dict[str, list[Result]]) -> str:
    measured_on = "; ".join(f"{name}: {value}" for name, value in facts.items())
    every = [result for results in found.values() for result in results]
    tables = [line for table in summaries(every) for line in (table, "")]
    sections = [markdown(results) for results in found.values()]
    return "\n".join(["## Benchmarks", "", f"{measured_on}.", "", *tables, *sections])


def _figures(facts: dict[str, str], found: dict[str, list[Result]]) -> dict[str, Any]:
    results = {name: [each.to_json() for each in results] for name, results in found.items()}
    return {"machine": facts, "results": results}


def write(
    folder: Path, report: str, figures: dict[str, Any], found: dict[str, Sequence[Result]]
) -> None:
    """Writes ``results.md``, ``results.json``, a PNG per result and one per subject."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.md").write_text(report + "\n")
    (folder / "results.json").write_text(json.dumps(figures, indent=2) + "\n")
    for name, results in found.items():
        for number, result in enumerate(results):
            suffix = f"_{number + 1}" if len(results) > 1 else ""
            plots.draw(result).savefig(folder / f"{name}{suffix}.png", dpi=120)
    every = [result for results in found.values() for result in results]
    for number, of_subject in enumerate(by_subject(every).values()):
        suffix = f"_{number + 1}" if number else ""
        plots.overview(of_subject).savefig(folder / f"overview{suffix}.png", dpi=120)
