"""A virtual environment with the original library, which needs old versions of everything."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGES = {"tensorflow-cpu": "2.15.1", "tensorflow-hub": "0.15.0"}
# tensorflow-hub 0.15 imports pkg_resources, which setuptools 80 and later drop.
_REQUIREMENTS = [*(f"{name}=={version}" for name, version in PACKAGES.items()), "setuptools<80"]

_DEFAULT = Path(__file__).resolve().parents[2] / "build" / "original-library"

_FITTING = [(3, 9), (3, 10), (3, 11)]

_ASK_PYTHON = "import json, sys; print(json.dumps(sys.version_info[:2]))"
_ASK_PACKAGES = (
    "import json, sys, importlib.metadata as m;"
    "print(json.dumps({name: m.version(name) for name in sys.argv[1:]}))"
)


def add_option(parser: argparse.ArgumentParser) -> None:
    """The option that names the environment's folder."""
    parser.add_argument(
        "--environment",
        type=Path,
        default=_DEFAULT,
        metavar="FOLDER",
        help="the original library's virtual environment; built if it is not there "
        "(default: build/original-library)",
    )


def prepare(folder: Path) -> Path:
    """The interpreter of an environment that has the original library.

    Args:
        folder: where it is, or is to be built.

    Raises:
        SystemExit: no Python of a fitting version, or the folder is taken.
    """
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if _ask(python, _ASK_PACKAGES, *PACKAGES) == PACKAGES:
        return python
    if folder.exists() and any(folder.iterdir()) and not (folder / "pyvenv.cfg").exists():
        raise SystemExit(f"{folder} exists and is no virtual environment; choose another folder.")
    print(f"Building an environment with {', '.join(_REQUIREMENTS)} in {folder} ...", flush=True)
    subprocess.run([_fitting_python(), "-m", "venv", "--clear", str(folder)], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *_REQUIREMENTS], check=True)
    return python


def _fitting_python() -> str:
    for candidate in _candidates():
        if (version := _ask(candidate, _ASK_PYTHON)) and tuple(version) in _FITTING:
            return candidate
    names = ", ".join(f"{major}.{minor}" for major, minor in _FITTING)
    raise SystemExit(
        f"The original library runs on TensorFlow {PACKAGES['tensorflow-cpu']}, which needs "
        f"Python {names}; none was found on PATH. Install one, or pass --environment with a "
        f"virtual environment that has {' and '.join(_REQUIREMENTS[:2])}."
    )


def _candidates() -> Iterator[str]:
    yield sys.executable
    for major, minor in reversed(_FITTING):
        if found := shutil.which(f"python{major}.{minor}"):
            yield found


def _ask(python: str | Path, code: str, *arguments: str) -> object:
    """What the interpreter prints, or None: a launcher on PATH may start nothing."""
    try:
        done = subprocess.run(
            [python, "-c", code, *arguments], check=True, capture_output=True, text=True
        )
        return json.loads(done.stdout)
    except (OSError, subprocess.CalledProcessError, json.JSONDecodeError):
        return None
