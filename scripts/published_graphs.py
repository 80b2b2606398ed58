"""Compares the graphs that this package and the original library build, node by node.

Each golden module, and each that ``--module`` names, is made and applied in five
positions of a TF1 graph (see ``tests/helpers/published_graphs.py``) by both libraries; the
names, types and inputs of all nodes have to be the same. ``--record`` writes what
the original library built of the golden modules to ``tests/golden``.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from original import environment

_ROOT = Path(__file__).resolve().parent.parent
_ZOO = _ROOT / "tests" / "golden" / "zoo"
_RECORDED = _ROOT / "tests" / "golden" / "published_graphs.json.xz"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    environment.add_option(parser)
    parser.add_argument("--module", action="append", default=[], metavar="FOLDER")
    parser.add_argument("--record", action="store_true", help="write what the original built")
    arguments = parser.parse_args()
    golden = [str(path / "module") for path in sorted(_ZOO.iterdir())]
    original = environment.prepare(arguments.environment.resolve())
    expected = _built(original, "tensorflow_hub", [*golden, *arguments.module])
    found = _built(Path(sys.executable), "hub_keras_bridge", [*golden, *arguments.module])
    if arguments.record:
        recorded = [
            {**each, "module": Path(each["module"]).parent.name}
            for each in expected
            if each["module"] in golden
        ]
        _RECORDED.write_bytes(lzma.compress(json.dumps(recorded).encode()))
    return max(map(_compare, expected, found))


def _built(python: Path, library: str, modules: list[str]) -> list[dict[str, Any]]:
    done = subprocess.run(
        [python, _ROOT / "tests" / "helpers" / "published_graphs.py", library, *modules],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
    )
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def _compare(expected: dict[str, Any], found: dict[str, Any]) -> int:
    missing = [line for line in expected["nodes"] if line not in set(found["nodes"])]
    added = [line for line in found["nodes"] if line not in set(expected["nodes"])]
    print(f"{expected['module']} {expected['tags']}: {len(expected['nodes'])} nodes", end=", ")
    if expected == found:
        print("the same")
        return 0
    print(f"{len(missing)} only in the original's, {len(added)} only here")
    for line in (*missing[:5], *added[:5]):
        print(f"    {line[:200]}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
