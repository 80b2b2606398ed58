"""Writing a module: all of it or nothing."""

import os
import signal
import stat
import subprocess
import sys

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


def test_urls(scale_spec, tmp_path):
    layer = hub.ModuleLayer(scale_spec)
    layer.export_module(f"file://{tmp_path}/m")
    assert hub.load_module_spec(f"file://{tmp_path}/m").get_signature_names() == ["default"]
    with pytest.raises(hub.ExportError, match="Found: 'gs://bucket/m'"):
        layer.export_module("gs://bucket/m")


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


def run_export(body, path):
    """Exports a module with 4 MB of weights in a process that has a fault."""
    script = f"""
import os, resource, signal
import tensorflow as tf, hub_keras_bridge as hub
from hub_keras_bridge import export

def module_fn():
    x = tf.compat.v1.placeholder(tf.float32, [None])
    w = tf.compat.v1.get_variable("w", initializer=tf.zeros([1000000]))
    hub.add_signature(inputs=x, outputs=x + w[0])

layer = hub.ModuleLayer(hub.create_module_spec(module_fn))
layer.build()
{body}
layer.export_module({str(path)!r})
"""
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)


def test_no_space(tmp_path):
    limit = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000000, 1000000))
"""
    done = run_export(limit, tmp_path / "m")
    assert done.returncode == 1
    assert "hub_keras_bridge.errors.ExportError: Cannot write a TF1 Hub module." in done.stderr
    assert "check permissions and free space" in done.stderr
    assert os.listdir(tmp_path) == []


def test_killed_before_the_end(tmp_path):
    kill = """
def rename(source, target):
    os.kill(os.getpid(), signal.SIGKILL)

os.rename = rename
"""
    assert run_export(kill, tmp_path / "m").returncode == -signal.SIGKILL
    assert not (tmp_path / "m").exists()
    # What is left is by its name no module, and does not stand in the way.
    (left,) = os.listdir(tmp_path)
    assert left.startswith(".m.")
    assert left.endswith(".partial")
    assert run_export("", tmp_path / "m").returncode == 0
    assert hub.load_module_spec(tmp_path / "m").get_signature_names() == ["default"]
