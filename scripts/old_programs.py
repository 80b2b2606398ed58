"""Runs the programs written for ``hub.Module`` with the original library, and compares.

What they return is compared with what ``tests/old_code`` has recorded, which the tests hold this
package to. ``--record`` records anew.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from original import environment

_TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path.insert(0, str(_TESTS))

from old_code import registry  # noqa: E402, from the tests


def main() -> int:
    arguments = _arguments()
    python = environment.prepare(arguments.environment.resolve())
    found, found_v1 = (
        registry.ask(python, "tensorflow_hub", arguments.name, is_v1=is_v1)
        for is_v1 in (False, True)
    )
    if arguments.record:
        registry.all_programs()
        registry.record(found, found_v1)
    wrong = _report("as TensorFlow 2 behaves", found, registry.recorded())
    wrong += _report("as TensorFlow 1 did", found_v1, registry.recorded(is_v1=True))
    return 1 if wrong else 0


def _report(behavior: str, found: dict[str, object], recorded: dict[str, object]) -> int:
    """Prints which programs return something else than recorded; how many."""
    compared = {name: result for name, result in found.items() if name in recorded}
    wrong = 0
    for name, result in compared.items():
        if lines := registry.differences(recorded[name], result):
            wrong += 1
            print(name, *lines[:5], sep="\n  ")
    print(
        f"{behavior}: {len(compared) - wrong} of {len(compared)} programs return what is recorded"
    )
    return wrong


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    environment.add_option(parser)
    parser.add_argument("--record", action="store_true", help="write what is found")
    parser.add_argument("name", nargs="*", help="a program; without any, all of them")
    arguments = parser.parse_args()
    if arguments.record and arguments.name:
        parser.error("--record takes all programs")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
