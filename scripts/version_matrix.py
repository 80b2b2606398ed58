"""Runs the tests with the oldest and newest TensorFlow and Keras that are claimed.

python scripts/version_matrix.py [ROW ...]: each row gets a virtual environment of
its own below --folder, which is kept, and becomes a line of a Markdown table on
stdout. What goes on meanwhile, and which tests failed, is on stderr.
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
SHOWN = ("tensorflow", "keras", "protobuf", "numpy")
_ASK = (
    "import json, platform, importlib.metadata as m;"
    f"versions = {{name: m.version(name) for name in {SHOWN}}};"
    "print(json.dumps([platform.python_version(), *versions.values()]))"
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


# A TensorFlow decides which Python, NumPy and protobuf there can be. The versions of Keras
# are those in which hub_keras_bridge/compat/direct_calls.py acts.
ROWS = {
    "oldest": Row(
        ("3.10", "3.11"),
        ("tensorflow==2.16.2", "tf_keras==2.16.0", "keras==3.10.0"),
        # With oneDNN this TensorFlow crashed in a session on a small BERT.
        {"TF_ENABLE_ONEDNN_OPTS": "0"},
    ),
    "newest": Row(
        ("3.13", "3.12", "3.11"), ("tensorflow==2.21.*", "tf_keras==2.21.*", "keras==3.15.*")
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
    failed = [_run(name, ROWS[name], folder / name) for name in arguments.rows or ROWS]
    return int(any(failed))


def _run(name: str, row: Row, folder: Path) -> bool:
    _tell(name, f"makes its environment, {folder}")
    python = _environment(row, folder)
    versions = json.loads(_output(python, "-c", _ASK))
    report, log = folder / "report.xml", folder / "report.log"
    report.unlink(missing_ok=True)
    _tell(name, f"runs the tests with Python {versions[0]}; their output is in {log}")
    _test(name, python, row.environment, report, log)
    if not report.exists():
        print(f"| {name} | the tests did not end, see {log} |", flush=True)
        return True
    suite = ElementTree.parse(report).getroot()[0]
    for case in suite:
        if case.find("failure") is not None or case.find("error") is not None:
            _tell(name, f"FAILED {case.get('classname')} {case.get('name')}")
    tests, failures, errors, skipped = (
        int(suite.attrib[key]) for key in ("tests", "failures", "errors", "skipped")
    )
    failed = failures + errors
    cells = [name, *versions, tests - failed - skipped, failed, skipped]
    print(f"| {' | '.join(map(str, cells))} |", flush=True)
    return failed > 0


def _environment(row: Row, folder: Path) -> Path:
    python = folder / "bin" / "python"
    if not python.exists():
        found = next((p for v in row.python if (p := shutil.which(f"python{v}"))), sys.executable)
        subprocess.run([found, "-m", "venv", folder], check=True)
    install = [python, "-m", "pip", "install", "--quiet", "--upgrade", "--upgrade-strategy=eager"]
    subprocess.run([*install, *row.pins, "--editable", f"{ROOT}[test]"], check=True)
    return python


def _test(name: str, python: Path, variables: Mapping[str, str], report: Path, log: Path) -> None:
    command = [python, "-m", "pytest", "-q", "-n", "2", f"--junit-xml={report}"]
    with (
        log.open("w") as file,
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            file.write(line)
            if line.endswith("%]\n"):
                _tell(name, line.rstrip())


def _output(python: Path, *arguments: str) -> str:
    done = subprocess.run([python, *arguments], check=True, capture_output=True, text=True)
    return done.stdout


def _tell(name: str, what: str) -> None:
    print(f"{name}: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
