"""How the command line is entered, and what is taken for it: no TensorFlow is there to import."""

import os
import pathlib
import subprocess
import sys

import pytest

import hub_keras_bridge
from hub_keras_bridge.version import VERSION

PACKAGE = pathlib.Path(hub_keras_bridge.__file__).parent


def run(folder, *arguments):
    """Runs Python in a folder where TensorFlow and Keras cannot be imported."""
    for name in ("tensorflow", "keras"):
        (folder / f"{name}.py").write_text("raise ImportError(f'whoever needs {__name__}')")
    paths = (str(folder), str(PACKAGE.parent), os.environ.get("PYTHONPATH"))
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("options", [["-m"], ["-B", "-m"], ["-X", "utf8", "-m"]])
def test_the_package_is_run_as_a_module(options, tmp_path):
    done = run(tmp_path, *options, "hub_keras_bridge", "--version")
    assert (done.stdout, done.stderr) == (f"hub-keras-bridge {VERSION}\n", "")
    assert done.returncode == 0


def test_the_script_s_entry(tmp_path):
    code = "import sys; from hub_keras_bridge_cli import main; sys.exit(main(['resolve', 'no']))"
    done = run(tmp_path, "-c", code)
    assert done.returncode == 1
    assert done.stderr.startswith("hub-keras-bridge resolve: Cannot resolve the handle")


def test_a_script_of_that_name_gets_the_whole_package(tmp_path):
    (tmp_path / "hub-keras-bridge.py").write_text("import hub_keras_bridge")
    assert "whoever needs" in run(tmp_path, "hub-keras-bridge.py").stderr


def test_so_does_a_module_that_is_run(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").write_text("import hub_keras_bridge")
    (tmp_path / "mine" / "__main__.py").touch()
    for arguments in ([], ["hub_keras_bridge"], ["-m", "hub_keras_bridge"]):
        assert "whoever needs" in run(tmp_path, "-m", "mine", *arguments).stderr
