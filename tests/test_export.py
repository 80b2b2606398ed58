"""Writing a module: all of it or nothing."""

import os
import stat

import pytest

import hub_keras_bridge as hub
from hub_keras_bridge import export
from hub_keras_bridge.errors import Subject


def test_target_that_exists(scale_spec, tmp_path):
    layer = hub.ModuleLayer(scale_spec)
    layer.export_module(tmp_path / "m")
    before = (tmp_path / "m" / "saved_model.pb").stat().st_mtime_ns
    with pytest.raises(hub.ExportError) as caught:
        layer.export_module(tmp_path / "m")
    assert "the target exists" in str(caught.value)
    assert f"non-empty folder at {tmp_path / 'm'}" in str(caught.value)
    assert "never overwrites" in str(caught.value)
    assert (tmp_path / "m" / "saved_model.pb").stat().st_mtime_ns == before
    assert os.listdir(tmp_path) == ["m"]


def test_empty_folder_is_taken_over(scale_spec, tmp_path):
    hub.ModuleLayer(scale_spec).export_module(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["saved_model.pb", "tfhub_module.pb", "variables"]


def test_parents_are_made(scale_spec, tmp_path):
    hub.ModuleLayer(scale_spec).export_module(tmp_path / "a" / "b")
    assert hub.load_module_spec(tmp_path / "a" / "b").get_tags() == [frozenset()]


def test_permissions_are_those_of_an_ordinary_folder(scale_spec, tmp_path):
    hub.ModuleLayer(scale_spec).export_module(tmp_path / "m")
    (tmp_path / "plain").mkdir()
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("m", "plain")]
    assert modes[0] == modes[1]


@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt(), ValueError("bug")])
def test_nothing_is_left_of_a_failure(tmp_path, failure):
    expected = hub.ExportError if isinstance(failure, OSError) else type(failure)

    def fail_halfway():
        with export.new_directory(str(tmp_path / "m"), Subject("/source")) as folder:
            (tmp_path / folder / "half").write_text("x")
            raise failure

    with pytest.raises(expected) as caught:
        fail_halfway()
    if isinstance(failure, OSError):
        assert "Found: disk full" in str(caught.value)
        assert "module '/source'" in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_nothing_is_there_before_all_is_there(tmp_path):
    with export.new_directory(str(tmp_path / "m"), Subject()):
        assert not (tmp_path / "m").exists()
    assert (tmp_path / "m").is_dir()


def test_parent_that_cannot_be_written(scale_spec, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(hub.ExportError, match="check permissions and free space"):
        hub.ModuleLayer(scale_spec).export_module(tmp_path / "file" / "m")
