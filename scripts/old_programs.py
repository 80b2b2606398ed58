"""Runs the programs written for ``hub.Module`` with the original library, and compares.

What they return is compared with ``tests/old_code/recorded.json``, which the tests hold this
package to. ``--record`` writes that file anew.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from original import environment

_TESTS = Path(__file__).resolve().parent.parent / "tests"
_ENVIRONMENT = _TESTS.parent / "build" / "original-library"
sys.path.insert(0, str(_TESTS))

from old_code import registry  # noqa: E402, from the tests


def main() -> int:
    arguments = _arguments()
    python = environment.prepare(arguments.environment.resolve())
    found = ask(python, "tensorflow_hub", arguments.name)
    before = registry.recorded() if registry.RECORDED.exists() else {}
    differing = {
        name: registry.differences(before[name], result) if name in before else ["not recorded"]
        for name, result in found.items()
    }
    for name, lines in differing.items():
        if lines:
            print(name, *lines[:5], sep="\n  ")
    wrong = sum(map(bool, differing.values()))
    print(f"{len(found) - wrong} of {len(found)} programs return what is recorded.")
    if arguments.record:
        registry.all_programs()
        registry.record({**(before if arguments.name else {}), **found})
        return 0
    return 1 if wrong else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--environment",
        type=Path,
        default=_ENVIRONMENT,
        metavar="FOLDER",
        help="the original library's virtual environment; built if it is not there "
        "(default: build/original-library)",
    )
    parser.add_argument("--record", action="store_true", help="write what is found to the file")
    parser.add_argument("name", nargs="*", help="a program; without any, all of them")
    return parser.parse_args()


def ask(python: Path, library: str, names: list[str]) -> dict[str, dict[str, object]]:
    """Name -> what the program returns with the library, in one process."""
    command = [str(python), "-m", "old_code", library, *names]
    done = subprocess.run(command, cwd=_TESTS, check=True, stdout=subprocess.PIPE, text=True)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"program"')]
    return {row.pop("program"): row for row in rows}


if __name__ == "__main__":
    sys.exit(main())
