"""A file of images through a module, by the command line, once for each engine.

Each run is a process of its own, from its start to its end: TensorFlow's import, what an
engine takes to get ready, reading, running and writing. Engines run by turns; each also
with what was kept of it (``--keep``) by an earlier run.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.kinds import KINDS
from benchmarks.kinds.kind import Kind
from benchmarks.timing import Spread, ratios
from hub_keras_bridge.frontends.compiled.agreement import difference

_ROOT = Path(__file__).parent.parent
_TENSORFLOW = "tensorflow"
_IMAGES = "images.npy"
_AT_ONCE = 1000  # Images that are made at once.


class Run(NamedTuple):
    """One process.

    Attributes:
        seconds: by the clock.
        processor: seconds of all threads together.
        told: the last line of its output.
    """

    seconds: float
    processor: float
    told: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds how many images, and which engines."""
    parser.add_argument("--images", type=int, metavar="N", help="(default: 20000; quick: 2000)")
    parser.add_argument(
        "--engine",
        action="append",
        metavar="NAME",
        help="beside tensorflow; may be repeated (default: auto)",
    )


def run(given: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Measures; a report in Markdown, and the figures."""
    count = given.images or (2000 if given.quick else 20_000)
    rounds = 1 if given.quick else 3
    kind = KINDS["cnn"]
    with tempfile.TemporaryDirectory(prefix="benchmarks_") as temporary:
        folder = Path(temporary)
        module = kind.publish(folder, kind.megabytes).path
        _write_images(kind, folder / _IMAGES, count)
        sides = {_TENSORFLOW: ["--engine", _TENSORFLOW]}
        for engine in given.engine or ["auto"]:
            sides[engine] = ["--engine", engine]
            sides[f"{engine}, kept"] = [*sides[engine], "--keep", str(folder / "kept")]
            _apply(module, folder, f"{engine}, kept", [*sides[f"{engine}, kept"], "--limit", "64"])
        runs: dict[str, list[Run]] = {side: [] for side in sides}
        for number in range(rounds):
            start = number % len(sides)
            for side in [*sides][start:] + [*sides][:start]:
                runs[side].append(_apply(module, folder, side, sides[side]))
        off = _differences(folder, list(sides))
    figures = {
        "images": count,
        "shape": kind.shape,
        "cores": os.cpu_count(),
        "differences": off,
        "runs": {side: [each._asdict() for each in found] for side, found in runs.items()},
    }
    return _table(f"{count:,} images of {kind.shape}", runs, off), figures


def _write_images(kind: Kind, path: Path, count: int) -> None:
    images = np.lib.format.open_memmap(path, "w+", kind.dtype, (count, *kind.shape))
    for start in range(0, count, _AT_ONCE):
        images[start : start + _AT_ONCE] = kind.sample(min(_AT_ONCE, count - start), start)
    images.flush()


def _apply(module: Path, folder: Path, side: str, flags: Sequence[str]) -> Run:
    command = [sys.executable, "-m", "hub_keras_bridge", "apply", str(module), *flags]
    command += ["--input", str(folder / _IMAGES), "--output", str(folder / f"{side}.npy")]
    begin = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--overwrite"], stdout=subprocess.PIPE, text=True, cwd=_ROOT
    )
    assert process.stdout is not None
    told = process.stdout.read()
    # Not wait(), which does not tell what the process used.
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Run(seconds, used.ru_utime + used.ru_stime, told.splitlines()[-1])


def _differences(folder: Path, sides: Sequence[str]) -> dict[str, float]:
    """From TensorFlow's results, as a part of the largest number in them."""
    results = {side: [np.load(folder / f"{side}.npy")] for side in sides}
    return {side: difference(results[_TENSORFLOW], each) for side, each in results.items()}


def _table(title: str, runs: Mapping[str, Sequence[Run]], off: Mapping[str, float]) -> str:
    seconds = {side: [each.seconds for each in found] for side, found in runs.items()}
    lines = [
        f"{title}, whole processes; the median of {len(runs[_TENSORFLOW])}, by turns "
        "(half of them lie in the brackets).",
        "",
        "| engine | seconds | of tensorflow's | processor | differs by | told |",
        "|---|---|---|---|---|---|",
    ]
    for side, found in runs.items():
        parts = ratios(seconds, side)
        cells = [
            side,
            _shown(Spread.of(seconds[side]), ".1f"),
            _shown(parts[_TENSORFLOW], ".2f") if _TENSORFLOW in parts else "",
            f"{np.median([each.processor for each in found]):.1f}",
            f"{off[side]:.1g}",
            found[-1].told.rpartition(": ")[2],
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _shown(spread: Spread, form: str) -> str:
    return f"{spread.median:{form}} ({spread.low:{form}} to {spread.high:{form}})"
