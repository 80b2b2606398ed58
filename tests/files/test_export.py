"""Writing a module: all of it or nothing."""

import os
import signal
import stat
import subprocess
import sys

import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from hub_keras_bridge.errors import Subject
from hub_keras_bridge.files.exporting import new_directory

v1 = tf.compat.v1


def test_target_that_exists(scale_spec, tmp_path):
    layer = hub.ModuleLayer(scale_spec)
    layer.export_module(tmp_path / "m")
    before = (tmp_path / "m" / "saved_model.pb").stat().st_mtime_ns
    with pytest.raises(hub.ExportError) as caught:
        layer.export_module(tmp_path / "m")
    assert "the target exists" in str(caught.value)
    assert f"Expected: no file of a module in {tmp_path / 'm'}" in str(caught.value)
    assert "Found: 'saved_model.pb', 'tfhub_module.pb', 'variables/variables.data-" in (
        str(caught.value)
    )
    assert "never overwrites" in str(caught.value)
    assert (tmp_path / "m" / "saved_model.pb").stat().st_mtime_ns == before
    assert os.listdir(tmp_path) == ["m"]


def test_empty_folder_is_taken_over(scale_spec, tmp_path):
    hub.ModuleLayer(scale_spec).export_module(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["saved_model.pb", "tfhub_module.pb", "variables"]


# --- folders that have other files ---


def asset_fn(vocabulary):
    def module_fn():
        x = v1.placeholder(tf.string, [None])
        rows = tf.lookup.TextFileInitializer(
            vocabulary,
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        )
        table = tf.lookup.StaticVocabularyTable(rows, 1)
        weights = v1.get_variable("weights", initializer=[1.0, 2.0, 3.0])
        hub.add_signature(inputs=x, outputs=tf.gather(weights, table.lookup(x)))

    return module_fn


@pytest.fixture
def asset_layer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vocabulary")
    (folder / "words.txt").write_text("a\nb\n")
    layer = hub.ModuleLayer(hub.create_module_spec(asset_fn(str(folder / "words.txt"))))
    layer.build()
    return layer


OF_THE_MODULE = {
    "assets/words.txt",
    "saved_model.pb",
    "tfhub_module.pb",
    "variables/variables.data-00000-of-00001",
    "variables/variables.index",
}


def fill(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")


def files_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


# The original library writes there, too.
@pytest.mark.parametrize(
    "names",
    [[".keep"], ["README.md", "sub/file"], ["variables/notes"], ["assets/other.txt"], ["a/assets"]],
)
def test_other_files_stay(asset_layer, tmp_path, names):
    fill(tmp_path, names)
    asset_layer.export_module(tmp_path)
    assert files_in(tmp_path) == OF_THE_MODULE | set(names)
    assert all((tmp_path / name).read_text() == "mine" for name in names)
    assert hub.ModuleLayer(tmp_path)(["b", "a", "?"]).numpy().tolist() == [2.0, 1.0, 3.0]


@pytest.mark.parametrize("folder", ["variables", "assets", "empty"])
def test_empty_folders_are_in_nobody_s_way(asset_layer, tmp_path, folder):
    (tmp_path / folder).mkdir()
    asset_layer.export_module(tmp_path)
    assert files_in(tmp_path) == OF_THE_MODULE


# Of these, the original overwrites all but the first two.
@pytest.mark.parametrize(
    "name",
    [
        "tfhub_module.pb",
        "assets/words.txt",
        "saved_model.pb",
        "saved_model.pbtxt",
        "variables/variables.index",
        "variables/variables.data-00001-of-00002",
    ],
)
def test_files_of_a_module_are_never_overwritten(asset_layer, tmp_path, name):
    fill(tmp_path, [name, ".keep"])
    with pytest.raises(hub.ExportError, match="the target exists") as caught:
        asset_layer.export_module(tmp_path)
    assert caught.value.found == repr(name)
    assert files_in(tmp_path) == {name, ".keep"}
    assert (tmp_path / name).read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {name.split("/")[0], ".keep"}


def test_last_comes_what_makes_it_a_module(asset_layer, tmp_path, monkeypatch):
    fill(tmp_path, [".keep"])
    rename, seen = os.replace, []

    def watch(source, target):
        seen.append(os.path.basename(target))
        assert not (tmp_path / "tfhub_module.pb").exists()
        rename(source, target)

    monkeypatch.setattr(os, "replace", watch)
    asset_layer.export_module(tmp_path)
    assert (len(seen), seen[-1]) == (5, "tfhub_module.pb")


def test_nothing_is_left_of_a_failure_among_other_files(asset_layer, tmp_path, monkeypatch):
    fill(tmp_path, [".keep"])
    rename = os.replace

    def fail_at_the_end(source, target):
        if target.endswith("tfhub_module.pb"):
            raise OSError("disk full")
        rename(source, target)

    monkeypatch.setattr(os, "replace", fail_at_the_end)
    with pytest.raises(hub.ExportError, match="disk full"):
        asset_layer.export_module(tmp_path)
    assert files_in(tmp_path) == {".keep"}


def test_all_ways_to_export_take_such_a_folder(scale_path, tmp_path):
    for name in ("module", "spec", "layer"):
        fill(tmp_path / name, [".keep"])
    with tf.Graph().as_default(), v1.Session() as session:
        module = hub.Module(scale_path)
        session.run(v1.global_variables_initializer())
        module.export(tmp_path / "module", session)
    hub.load_module_spec(scale_path).export(tmp_path / "spec")
    hub.ModuleLayer(scale_path).export_module(tmp_path / "layer")
    for name in ("module", "spec", "layer"):
        assert hub.ModuleLayer(tmp_path / name)([[1.0, 2.0]]).numpy().tolist() == [[3.0, 6.0]]


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
        with new_directory(str(tmp_path / "m"), Subject("/source")) as folder:
            (tmp_path / folder / "half").write_text("x")
            raise failure

    with pytest.raises(expected) as caught:
        fail_halfway()
    if isinstance(failure, OSError):
        assert "Found: disk full" in str(caught.value)
        assert "module '/source'" in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_nothing_is_there_before_all_is_there(tmp_path):
    with new_directory(str(tmp_path / "m"), Subject()):
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

os.replace = rename
"""
    assert run_export(kill, tmp_path / "m").returncode == -signal.SIGKILL
    assert not (tmp_path / "m").exists()
    # What is left is by its name no module, and does not stand in the way.
    (left,) = os.listdir(tmp_path)
    assert left.startswith(".m.")
    assert left.endswith(".partial")
    assert run_export("", tmp_path / "m").returncode == 0
    assert hub.load_module_spec(tmp_path / "m").get_signature_names() == ["default"]
