"""``python -m benchmarks``: compares with what people use today; see ``--help``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks import against, compare, fuzz, hostile, memory, reaching, reliability


class Benchmark(NamedTuple):
    """One benchmark.

    Attributes:
        help: what it measures, in a line.
        run: measures as the command's arguments say, and returns a Markdown
            report and the figures for a JSON file.
        add_arguments: adds those that it alone has.
    """

    help: str
    run: Callable[[argparse.Namespace], tuple[str, object]]
    add_arguments: Callable[[argparse.ArgumentParser], None] = lambda _: None


_DEFAULT = "compare"

BENCHMARKS = {
    _DEFAULT: Benchmark(
        "time and memory beside tensorflow_hub, TF1 sessions and native Keras (the default)",
        compare.run,
        compare.add_arguments,
    ),
    "against": Benchmark(
        "the time to load, beside another checkout's", against.run, against.add_arguments
    ),
    "fuzz": Benchmark(
        "the readers under a coverage-guided fuzzer (extra [fuzz])", fuzz.run, fuzz.add_arguments
    ),
    "memory": Benchmark(
        "what a load adds to memory, and what comes back", lambda given: memory.run(given.quick)
    ),
    "mutants": Benchmark("how broken and hostile modules end", hostile.run, hostile.add_arguments),
    "reaching": Benchmark(
        "whether modules changed by an attacker reach outside in safe mode",
        reaching.run,
        reaching.add_arguments,
    ),
    "reliability": Benchmark(
        "killed writers, threads, processes, long runs, determinism, mutants",
        reliability.run,
        reliability.add_arguments,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measures this package; see CONTRIBUTING.md."
    )
    commands = parser.add_subparsers(dest="benchmark", required=True)
    for name, benchmark in BENCHMARKS.items():
        command = commands.add_parser(name, help=benchmark.help, description=benchmark.help)
        command.add_argument("--quick", action="store_true", help="smaller sizes, fewer rounds")
        command.add_argument("--output", type=Path, metavar="FILE", help="write figures as JSON")
        benchmark.add_arguments(command)
    given = sys.argv[1:]
    if not {*given[:1]} & {*BENCHMARKS, "-h", "--help"}:
        given = [_DEFAULT, *given]
    arguments = parser.parse_args(given)
    report, figures = BENCHMARKS[arguments.benchmark].run(arguments)
    print(report)
    if arguments.output:
        arguments.output.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
