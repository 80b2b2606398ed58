"""Runs the tests with the oldest and newest TensorFlow and Keras that are claimed.

python scripts/version_matrix.py [ROW ...]: each row gets a virtual environment of
its own below --folder, which is kept, and becomes a line of a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
SHOWN = ("tensorflow", "tensorflow-cpu", "keras", "protobuf", "numpy")
_ASK = (
    "import json, sys, platform, importlib.metadata as m;"
    "found = {d.metadata['Name'].lower(): d.version for d in m.distributions()};"
    "print(json.dumps({'python': platform.python_version(), **found}))"
)


@dataclass(frozen=True)
class Row:
    """One combination.

    Attributes:
        python: its minor versions that are tried, the best first.
        pins: requirements besides the package's own.
        environment: variables that the tests run with.
    """

    python: tuple[str, ...]
    pins: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


# A TensorFlow decides which Python, NumPy and protobuf there can be.
ROWS = {
    "oldest": Row(
        ("3.10", "3.11"),
        ("tensorflow-cpu==2.16.2", "tf_keras==2.16.0", "keras==3.10.0"),
        # With oneDNN this TensorFlow crashed in a session on a small BERT.
        {"TF_ENABLE_ONEDNN_OPTS": "0"},
    ),
    "newest": Row(
        ("3.12", "3.13", "3.11"), ("tensorflow-cpu==2.21.*", "tf_keras==2.21.*", "keras==3.15.*")
    ),
}


def main() -> int:
    """Runs the chosen rows; the status is 1 if a test failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(map(repr, ROWS))}")
    parser.add_argument("--folder", type=Path, help="for the environments (default: a new one)")
    arguments = parser.parse_args()
    if unknown := set(arguments.rows) - set(ROWS):
        parser.error(f"no row {', '.join(map(repr, sorted(unknown)))}")
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="hub_keras_bridge_matrix_"))
    print("| | Python | TensorFlow | Keras | protobuf | NumPy | passed | failed | skipped |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    failed = [_run(name, ROWS[name], folder) for name in arguments.rows or ROWS]
    return int(any(failed))


def _run(name: str, row: Row, folder: Path) -> bool:
    python = _environment(row, folder / name.replace(" ", "_").replace(",", ""))
    versions = json.loads(_output(python, "-c", _ASK))
    report = python.parent.parent / "report.xml"
    report.unlink(missing_ok=True)
    with open(report.with_suffix(".log"), "w") as log:
        command = [python, "-m", "pytest", "-q", "-n", "2", f"--junit-xml={report}"]
        variables = {**os.environ, **row.environment}
        subprocess.run(
            command, cwd=ROOT, env=variables, stdout=log, stderr=subprocess.STDOUT, check=False
        )
    if not report.exists():
        print(f"| {name} | the tests did not end, see {report.with_suffix('.log')} |", flush=True)
        return True
    suite = ElementTree.parse(report).getroot()[0].attrib
    bad, skipped = int(suite["failures"]) + int(suite["errors"]), int(suite["skipped"])
    passed = int(suite["tests"]) - bad - skipped
    tensorflow = versions.get("tensorflow-cpu") or versions["tensorflow"]
    cells = [versions["python"], tensorflow, *(versions[n] for n in ("keras", "protobuf", "numpy"))]
    print(f"| {' | '.join(map(str, [name, *cells, passed, bad, skipped]))} |", flush=True)
    return bad > 0


def _environment(row: Row, folder: Path) -> Path:
    python = folder / "bin" / "python"
    if not python.exists():
        found = next((p for v in row.python if (p := shutil.which(f"python{v}"))), sys.executable)
        subprocess.run([found, "-m", "venv", folder], check=True)
    # TensorFlow's CPU packages bring the module, not the name that is required.
    install = [python, "-m", "pip", "install", "--quiet", "--upgrade"]
    subprocess.run([*install, *row.pins], check=True)
    needed = [r for r in _requirements() if not r.startswith("tensorflow>")]
    subprocess.run([*install, *row.pins, *needed], check=True)
    subprocess.run([*install, "--no-deps", "--editable", ROOT], check=True)
    return python


def _requirements() -> list[str]:
    """What the package and its tests need, without the package itself."""
    try:
        import tomllib
    except ImportError:  # Python 3.10
        import tomli as tomllib
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]

    def spread(requirement: str) -> list[str]:
        if not requirement.startswith("hub_keras_bridge["):
            return [requirement]
        names = requirement.partition("[")[2].rstrip("]").split(",")
        return [each for name in names for inner in extras[name] for each in spread(inner)]

    return [each for r in [*project["dependencies"], *extras["test"]] for each in spread(r)]


def _output(python: Path, *arguments: str) -> str:
    done = subprocess.run([python, *arguments], check=True, capture_output=True, text=True)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
