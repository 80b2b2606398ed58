"""``hub-keras-bridge resolve``."""

import hashlib
import json
import pathlib
import subprocess
import sys

import pytest

from helpers.http_server import Server, archive_of
from helpers.places import ZOO
from hub_keras_bridge.cli import main

MODULE = ZOO / "mlp_bn" / "module"
ARCHIVE = archive_of(MODULE)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")
    return tmp_path / "cache"


@pytest.fixture
def url():
    with Server() as server:
        yield server.serve("/m", ARCHIVE)


def test_prints_the_folder(url, folder, capsys):
    assert main(["resolve", url]) == 0
    assert capsys.readouterr().out == f"{folder / hashlib.sha1(url.encode()).hexdigest()}\n"
    assert main(["resolve", str(MODULE)]) == 0
    assert capsys.readouterr().out == f"{MODULE}\n"


def test_json(capsys):
    assert main(["resolve", str(MODULE), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"handle": str(MODULE), "path": str(MODULE)}


def test_checksum(url, capsys):
    assert main(["resolve", url, "--sha256", hashlib.sha256(ARCHIVE).hexdigest()]) == 0
    assert main(["resolve", url, "--sha256", "0" * 64]) == 1
    told = capsys.readouterr()
    assert "hub-keras-bridge resolve: Refused the archive" in told.err
    assert f"expected sha256 {'0' * 64}" in told.err


def test_failure_is_told_without_traceback(tmp_path, capsys):
    assert main(["resolve", str(tmp_path / "absent")]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("hub-keras-bridge resolve: Cannot resolve the handle")


@pytest.mark.parametrize("kind", ["path", "archive", "url"])
def test_needs_no_tensorflow(kind, url, tmp_path):
    (tmp_path / "m.tar.gz").write_bytes(ARCHIVE)
    handle = {"path": str(MODULE), "archive": str(tmp_path / "m.tar.gz"), "url": url}[kind]
    code = (
        "import sys\n"
        "from hub_keras_bridge_cli import main\n"
        "assert main(['resolve', sys.argv[1]]) == 0\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    command = [sys.executable, "-c", code, handle]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert pathlib.Path(done.stdout.strip(), "saved_model.pb").exists()
    assert done.stderr == ""
