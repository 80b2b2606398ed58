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

from benchmarks import compare, fuzz, hostile, memory, reliability


class Benchmark(NamedTuple):
    """One benchmark.

    Attributes:
        run: measures as the command's arguments say, and returns a Markdown
            report and the figures for a JSON file.
        add_arguments: adds those that it alone has.
    """

    run: Callable[[argparse.Namespace], tuple[str, object]]
    add_arguments: Callable[[argparse.ArgumentParser], None] = lambda _: None


_DEFAULT = "compare"

BENCHMARKS = {
    _DEFAULT: Benchmark(compare.run, compare.add_arguments),
    "fuzz": Benchmark(fuzz.run, fuzz.add_arguments),
    "memory": Benchmark(lambda arguments: memory.run(arguments.quick)),
    "mutants": Benchmark(hostile.run, hostile.add_arguments),
    "reliability": Benchmark(reliability.run, reliability.add_arguments),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="benchmark", required=True)
    for name, benchmark in BENCHMARKS.items():
        command = commands.add_parser(name)
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
