"""``python -m benchmarks NAME``: prints a Markdown table; see ``--help``."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks import memory

# Name -> a function that measures: it is told whether to be quick, and returns
# a Markdown report and the figures for a JSON file.
BENCHMARKS: dict[str, Callable[[bool], tuple[str, object]]] = {"memory": memory.run}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("benchmark", choices=sorted(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="smaller sizes and fewer rounds")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the figures as JSON")
    arguments = parser.parse_args()
    report, figures = BENCHMARKS[arguments.benchmark](arguments.quick)
    print(report)
    if arguments.output:
        arguments.output.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
