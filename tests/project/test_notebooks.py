"""Every notebook runs from top to bottom, and is kept with its outputs."""

import json
import os
import subprocess
import sys

import pytest

from helpers.places import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
(DM21,) = (path for path in NOTEBOOKS if path.stem == "dm21")


def code_cells(path):
    return [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]


def outputs(path):
    return [output for cell in code_cells(path) for output in cell["outputs"]]


def run(path, **environment):
    """Runs the code in a process of its own, in the notebook's folder; returns what it printed."""
    code = "\n".join("".join(cell["source"]) for cell in code_cells(path))
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=path.parent,
        env={**os.environ, "MPLBACKEND": "agg", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path):
    run(path)


@pytest.mark.slow
def test_dm21_runs_without_its_module(tmp_path):
    printed = run(DM21, DM21_MODULE=str(tmp_path / "nowhere"))
    assert "There is no DM21 module here" in printed
    assert "LDA exchange: -0.2680 hartree" in printed


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestKept:
    def test_is_kept_as_it_ran(self, path):
        cells = code_cells(path)
        assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
        assert not [each for each in outputs(path) if each["output_type"] == "error"]
        assert any("image/png" in each.get("data", {}) for each in outputs(path))

    def test_tells_nothing_of_the_machine(self, path):
        assert not [each for each in outputs(path) if each.get("name") == "stderr"]
        shown = json.dumps([{**each, "data": texts(each)} for each in outputs(path)])
        assert not [place for place in ("/tmp/", "/home/", "/Users/") if place in shown]


def texts(output):
    return {kind: data for kind, data in output.get("data", {}).items() if kind != "image/png"}


def test_dm21_is_kept_with_its_module():
    assert "DM21: -0.3136 hartree" in json.dumps(outputs(DM21))


def test_there_are_notebooks():
    assert NOTEBOOKS
