"""Where a module may be written."""

import pathlib

import pytest

import hub_keras_bridge as hub
from hub_keras_bridge.errors import Subject
from hub_keras_bridge.files.targets import local_target, require_free_target

SUBJECT = Subject("/embed")


def test_nothing_and_an_empty_folder_are_free(tmp_path):
    require_free_target(tmp_path / "absent", SUBJECT)
    require_free_target(tmp_path, SUBJECT)


@pytest.mark.parametrize("taken", ["file", "folder"])
def test_taken(taken, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").touch()
    (tmp_path / "file").touch()
    with pytest.raises(hub.ExportError) as caught:
        require_free_target(taken, SUBJECT)
    assert "the target exists" in str(caught.value)
    assert f"Expected: no file or non-empty folder at {tmp_path}/{taken}" in str(caught.value)


def test_local(tmp_path):
    assert local_target(pathlib.Path("m"), SUBJECT) == "m"
    assert local_target("file:///my%20m", SUBJECT) == "/my m"
    with pytest.raises(hub.ExportError, match="Found: 'gs://bucket/m'"):
        local_target("gs://bucket/m", SUBJECT)
