"""The writer of new files and folders."""

import os

import pytest

from hub_keras_bridge.errors import CacheError, ExportError
from hub_keras_bridge.files import durable
from hub_keras_bridge.files.writing import telling, whole


def make(path, content="new", **options):
    with whole(str(path), **options) as made, open(made, "w") as stream:
        stream.write(content)


def comes_meanwhile(path, monkeypatch):
    """Lets a file be there when another is to get its place."""

    def place(source, target):
        path.write_text("of another")
        raise FileExistsError(target)

    monkeypatch.setattr(durable, "place", place)


def test_in_place_of_a_file(tmp_path):
    (tmp_path / "file").write_text("old")
    make(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "new"
    assert os.listdir(tmp_path) == ["file"]


def test_what_comes_meanwhile_stays(tmp_path, monkeypatch):
    def require_free():
        if (tmp_path / "file").exists():
            raise ExportError("It is there.")

    comes_meanwhile(tmp_path / "file", monkeypatch)
    with pytest.raises(ExportError, match=r"It is there\."):
        make(tmp_path / "file", require_free=require_free)
    assert (tmp_path / "file").read_text() == "of another"
    assert os.listdir(tmp_path) == ["file"]


def test_what_comes_meanwhile_and_may_be_replaced(tmp_path, monkeypatch):
    comes_meanwhile(tmp_path / "file", monkeypatch)
    make(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "new"


def test_is_asked_before_anything_is_made(tmp_path):
    def refuse():
        raise ExportError("It is there.")

    with pytest.raises(ExportError):
        make(tmp_path / "a" / "file", require_free=refuse, parents=True)
    assert os.listdir(tmp_path) == []


def test_parents_are_made_on_demand(tmp_path):
    with pytest.raises(FileNotFoundError):
        make(tmp_path / "a" / "file")
    make(tmp_path / "a" / "b" / "file", parents=True)
    assert (tmp_path / "a" / "b" / "file").read_text() == "new"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError("disk full"), ExportError),
        (CacheError("Told already."), CacheError),
        (KeyError(), KeyError),
    ],
)
def test_errors_of_the_disk_are_told_once(error, told):
    with pytest.raises(told) as caught, telling(lambda error: ExportError("No.", found=str(error))):
        raise error
    if told is ExportError:
        assert caught.value.found == "disk full"
        assert caught.value.__cause__ is error
    else:
        assert caught.value is error
