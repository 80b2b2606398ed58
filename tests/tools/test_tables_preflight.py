"""What is told of two files before a module is loaded."""

import os
import re
import subprocess
import sys

import pytest

from hub_keras_bridge.errors import TableError
from hub_keras_bridge.tools.apply.preflight import formats_of


@pytest.fixture
def source(tmp_path):
    (tmp_path / "in.txt").write_text("a\n")
    return str(tmp_path / "in.txt")


def refusal(source, target, **kwargs):
    with pytest.raises(TableError) as caught:
        formats_of(str(source), str(target), **kwargs)
    return str(caught.value)


def test_formats(source, tmp_path):
    assert formats_of(source, str(tmp_path / "a.npz")) == ("text", "npz")
    chosen = formats_of(source, str(tmp_path / "a"), reads="jsonl", writes="npy")
    assert chosen == ("jsonl", "npy")
    assert formats_of("-", str(tmp_path / "a.npz"))[0] == "text"


@pytest.mark.parametrize("name", ["in.txt", "out.doc"])
def test_name_that_tells_no_format(source, tmp_path, name):
    message = refusal(source, tmp_path / name)
    assert message.startswith(f"Cannot write {str(tmp_path / name)!r}: its name does not tell")
    assert message.endswith("pass output_format=... with one of npy, npz, jsonl, parquet")


def test_nothing_to_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = refusal("no.txt", "a.npy")
    assert "Cannot read 'no.txt'." in message
    assert f"Found: nothing at {tmp_path}/no.txt" in message
    os.mkdir("folder.txt")
    assert f"Found: the folder {tmp_path}/folder.txt" in refusal("folder.txt", "a.npy")


def test_target_that_is_there(source, tmp_path):
    target = tmp_path / "a.npy"
    target.write_text("mine")
    message = refusal(source, target)
    assert f"Found: a file at {target}" in message
    assert message.endswith("choose another path, or pass overwrite=True to replace the file")
    assert formats_of(source, str(target), overwrite=True) == ("text", "npy")
    os.mkdir(tmp_path / "b.npy")
    message = refusal(source, tmp_path / "b.npy", overwrite=True)
    assert f"Found: a folder at {tmp_path}/b.npy" in message
    assert message.endswith("What to do: choose another path")


def test_library_that_is_not_there(source, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    message = refusal(source, tmp_path / "a.parquet")
    assert re.search(r"pip install 'hub_keras_bridge\[parquet\]'", message)


def test_needs_no_tensorflow(source, tmp_path):
    code = (
        "import sys, hub_keras_bridge_cli\n"
        "from hub_keras_bridge.tools.apply.preflight import formats_of\n"
        "formats_of(*sys.argv[1:])\n"
        "assert not {'tensorflow', 'keras', 'pyarrow'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code, source, str(tmp_path / "a.npy")], check=True)
