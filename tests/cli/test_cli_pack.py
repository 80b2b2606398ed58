"""``hub-keras-bridge pack``, and the page that says how to host what it makes."""

import hashlib
import json
import shutil
import subprocess
import sys

import pytest

from hub_keras_bridge.cli import main
from hub_keras_bridge.files import archive


@pytest.fixture
def module(golden, tmp_path):
    return shutil.copytree(golden("mlp_bn").path, tmp_path / "module")


def test_tells_path_size_and_sha256(module, tmp_path, capsys):
    file = tmp_path / "m.tar.gz"
    assert main(["pack", str(module), str(file)]) == 0
    data = file.read_bytes()
    assert capsys.readouterr().out.splitlines() == [
        str(file),
        f"  {len(data)} bytes",
        f"  sha256 {hashlib.sha256(data).hexdigest()}",
    ]
    archive.pack(str(module), str(tmp_path / "again.tar.gz"))
    assert (tmp_path / "again.tar.gz").read_bytes() == data


def test_json(module, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["pack", "module", "m.tar.gz", "--json"]) == 0
    data = (tmp_path / "m.tar.gz").read_bytes()
    assert json.loads(capsys.readouterr().out) == {
        "path": str(tmp_path / "m.tar.gz"),
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_error(flags, module, tmp_path, capsys):
    (module / "tfhub_module.pb").unlink()
    assert main(["pack", str(module), str(tmp_path / "m.tar.gz"), *flags]) == 1
    told = capsys.readouterr()
    found = [json.loads(told.out)["error"]["found"]] if flags else []
    assert found == ["no tfhub_module.pb in it"] * len(flags)
    assert flags or told.out == ""
    assert told.err.startswith("hub-keras-bridge pack: Cannot pack a TF1 Hub module. In ")
    assert "found no tfhub_module.pb in it" in told.err


@pytest.mark.parametrize("name", ["m.zip", "m.tar", "m"])
def test_a_name_that_says_something_else(name, module, tmp_path, capsys):
    assert main(["pack", str(module), str(tmp_path / name)]) == 1
    assert "expected a file name that ends in .tar.gz or .tgz" in capsys.readouterr().err
    assert not (tmp_path / name).exists()


def test_without_tensorflow(module, tmp_path):
    """In a process of its own, where importing TensorFlow or Keras would fail."""
    code = (
        "import sys\n"
        "sys.modules.update(tensorflow=None, keras=None)\n"
        "from hub_keras_bridge_cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", code, "pack", str(module), str(tmp_path / "m.tar.gz")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{tmp_path / 'm.tar.gz'}\n")
