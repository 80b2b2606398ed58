"""After a power cut at any point there is the old or the new, whole.

The disk is a model, ``power_cut``; what runs is the package.
"""

import ast
import errno
import os
import pathlib
import shutil

import keras
import numpy as np
import pytest

import hub_keras_bridge as hub
from helpers import power_cut
from helpers.places import ZOO
from helpers.power_cut import below, tree, watched
from hub_keras_bridge.cli import main
from hub_keras_bridge.files import durable
from hub_keras_bridge.files.archive import pack
from hub_keras_bridge.files.fetch import cache, cache_entries
from hub_keras_bridge.tools.convert import convert

PACKAGE = pathlib.Path(hub.__file__).parent
MODULE = ZOO / "text_embed" / "module"


def assert_old_or_new(states, name, old, new):
    """Both are there at some point, and nothing else at any."""
    found = [below(state, name) for state in states]
    assert all(state in (None, {}, old, new) for state in found)
    assert new in found


def test_model_knows_what_is_not_synced(tmp_path, monkeypatch):
    """Else all that follows would prove nothing."""
    with watched(tmp_path, monkeypatch) as disk:
        (tmp_path / "made").write_text("whole")
        os.replace(tmp_path / "made", tmp_path / "place")
    assert {"place": b""} in disk.states
    assert {"place": b"whole"} not in disk.states
    with watched(tmp_path, monkeypatch) as disk:
        (tmp_path / "made").write_text("other")
        durable.move(str(tmp_path / "made"), str(tmp_path / "place"))
    assert {state["place"] for state in disk.states} == {b"whole", b"other"}
    assert disk.states[-1] == {"place": b"other"}


def test_model_keeps_of_folders_what_was_synced(tmp_path, monkeypatch):
    with watched(tmp_path, monkeypatch) as disk:
        (tmp_path / "made").mkdir()
        (tmp_path / "made" / "file").write_text("whole")
        durable.sync(str(tmp_path / "made" / "file"))
        durable.rename(str(tmp_path / "made"), str(tmp_path / "place"))
    # The folder was not synced, so that its name may be there before its file's.
    assert {"place": None} in disk.states


class TestMoves:
    def test_folder(self, tmp_path, monkeypatch):
        shutil.copytree(MODULE, tmp_path / "from")
        with watched(tmp_path, monkeypatch) as disk:
            shutil.copytree(tmp_path / "from", tmp_path / "made")
            durable.move(str(tmp_path / "made"), str(tmp_path / "place"))
        assert_old_or_new(disk.states, "place", None, tree(MODULE))
        assert "place" in disk._left(0)

    def test_file_to_where_nothing_is(self, tmp_path, monkeypatch):
        with watched(tmp_path, monkeypatch) as disk:
            (tmp_path / "made").write_text("whole")
            durable.place(str(tmp_path / "made"), str(tmp_path / "place"))
        assert {state.get("place") for state in disk.states} == {None, b"whole"}
        with pytest.raises(FileExistsError):
            durable.place(str(tmp_path / "made"), str(tmp_path / "place"))

    def test_folders_that_are_made(self, tmp_path, monkeypatch):
        with watched(tmp_path, monkeypatch) as disk:
            durable.make_folders(str(tmp_path / "a" / "b" / "c"))
            durable.make_folders(str(tmp_path / "a" / "b" / "c"))
        assert disk._left(0) == {"a": None, "a/b": None, "a/b/c": None}

    def test_no_folder_where_a_file_is(self, tmp_path):
        (tmp_path / "a").write_text("x")
        with pytest.raises(NotADirectoryError):
            durable.make_folders(str(tmp_path / "a" / "b"))
        with pytest.raises(FileExistsError):
            durable.make_folders(str(tmp_path / "a"))


class TestSyncing:
    @pytest.mark.parametrize("number", [errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.EACCES])
    def test_what_cannot_be_asked_for(self, number, tmp_path, monkeypatch):
        """Of folders on Windows, for one."""

        def unable(_):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fsync", unable)
        (tmp_path / "made").write_text("x")
        durable.move(str(tmp_path / "made"), str(tmp_path / "place"))
        assert (tmp_path / "place").read_text() == "x"

    @pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
    def test_what_fails_is_told_and_moves_nothing(self, number, tmp_path, monkeypatch):
        def fail(_):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fsync", fail)
        (tmp_path / "made").write_text("x")
        with pytest.raises(OSError, match=os.strerror(number)):
            durable.move(str(tmp_path / "made"), str(tmp_path / "place"))
        assert not (tmp_path / "place").exists()

    def test_links_are_not_followed(self, tmp_path):
        (tmp_path / "made").symlink_to("nowhere")
        durable.sync_all(str(tmp_path))


def test_nothing_else_renames():
    """Who writes cannot forget it."""
    renaming = {"rename", "renames", "replace", "link", "move"}
    guilty = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in {(m, n) for m in ("os", "shutil") for n in renaming}
        and path.name != "durable.py"
    ]
    assert guilty == []


# --- what the package writes ---


@pytest.fixture(scope="module")
def layer():
    return hub.ModuleLayer(str(ZOO / "mlp_bn" / "module"))


class TestExports:
    def test_layer(self, layer, tmp_path, monkeypatch):
        with watched(tmp_path, monkeypatch) as disk:
            layer.export_module(tmp_path / "to" / "m")
        assert_old_or_new(disk.states, "to/m", None, tree(tmp_path / "to" / "m"))
        # When the call returns, it is there whatever comes.
        assert "to/m/saved_model.pb" in disk._left(0)

    def test_spec(self, tmp_path, monkeypatch):
        spec = hub.load_module_spec(str(MODULE))
        with watched(tmp_path, monkeypatch) as disk:
            spec.export(str(tmp_path / "m"), str(MODULE / "variables" / "variables"))
        assert_old_or_new(disk.states, "m", None, tree(tmp_path / "m"))
        assert "m/saved_model.pb" in disk._left(0)

    def test_beside_other_files(self, layer, tmp_path, monkeypatch):
        """What makes it a module comes last, when all else is on the disk."""
        (tmp_path / "m").mkdir()
        (tmp_path / "m" / "README").write_text("mine")
        with watched(tmp_path, monkeypatch) as disk:
            layer.export_module(tmp_path / "m")
        new = tree(tmp_path / "m")
        for state in disk.states:
            found = below(state, "m")
            assert found["README"] == b"mine"
            if "tfhub_module.pb" in found:
                assert {name: found.get(name) for name in new} == new
        assert "m/tfhub_module.pb" in disk._left(0)

    def test_exporter_and_what_it_removes(self, layer, tmp_path, monkeypatch):
        model = keras.Sequential([keras.Input((51,)), layer])
        exporter = hub.LatestModuleExporter(tmp_path, exports_to_keep=1)
        exporter.set_model(model)
        ((name, first),) = exporter.export().items()
        old = tree(first)
        with watched(tmp_path, monkeypatch) as disk:
            second = exporter.export()[name]
        new, parent = tree(second), os.path.relpath(os.path.dirname(first), tmp_path)
        for state in disk.states:
            exports = {
                path: below(state, f"{parent}/{path}")
                for path in below(state, parent)
                if path.isdigit()
            }
            assert exports
            for path, content in exports.items():
                assert content == (old if path == os.path.basename(first) else new)

    def test_packed(self, tmp_path, monkeypatch):
        with watched(tmp_path, monkeypatch) as disk:
            pack(str(MODULE), str(tmp_path / "to" / "m.tar.gz"))
        whole = (tmp_path / "to" / "m.tar.gz").read_bytes()
        assert {state.get("to/m.tar.gz") for state in disk.states} == {None, whole}
        assert disk._left(0)["to/m.tar.gz"] == whole

    @pytest.mark.parametrize("ending", ["keras", "tflite"])
    def test_converted_to_a_file(self, ending, tmp_path, monkeypatch):
        path = tmp_path / f"m.{ending}"
        with watched(tmp_path, monkeypatch) as disk:
            convert.CONVERSIONS[ending](str(ZOO / "mlp_bn" / "module"), path)
        assert {state.get(path.name) for state in disk.states} == {None, path.read_bytes()}
        assert path.name in disk._left(0)

    def test_converted_to_a_folder(self, tmp_path, monkeypatch):
        with watched(tmp_path, monkeypatch) as disk:
            convert.to_saved_model(str(ZOO / "mlp_bn" / "module"), tmp_path / "m")
        assert_old_or_new(disk.states, "m", None, tree(tmp_path / "m"))
        assert "m/saved_model.pb" in disk._left(0)

    def test_page_in_place_of_another(self, tmp_path, monkeypatch):
        place = tmp_path / "page.html"
        place.write_text("old")
        with watched(tmp_path, monkeypatch) as disk:
            assert main(["inspect", str(MODULE), "--html", str(place)]) == 0
        new = place.read_bytes()
        assert {state["page.html"] for state in disk.states} == {b"old", new}
        assert disk._left(0)["page.html"] == new

    @pytest.mark.parametrize("ending", ["jsonl", "npy", "npz", "parquet"])
    def test_results_in_place_of_others(self, ending, tmp_path, monkeypatch):
        np.save(tmp_path / "in.npy", np.array([["a"], ["b"]])[:, 0])
        place = tmp_path / f"out.{ending}"
        place.write_text("old")
        with watched(tmp_path, monkeypatch) as disk:
            hub.apply_to_file(str(MODULE), str(tmp_path / "in.npy"), str(place), overwrite=True)
        new = place.read_bytes()
        assert {state.get(place.name) for state in disk.states} == {b"old", new}
        assert disk._left(0)[place.name] == new


# --- the cache ---

HANDLE = "https://example.org/m"
OLD, NEW = ZOO / "mlp_bn" / "module", MODULE
OLD_SHA256, NEW_SHA256 = "1" * 64, "2" * 64


def obtain(module, sha256):
    def fill(folder):
        shutil.copytree(module, folder, dirs_exist_ok=True)
        return cache.Receipt("https://example.org", sha256)

    return cache.obtain(HANDLE, fill, sha256=sha256)


def found_after(state, folder, monkeypatch):
    """What the next process gets, offline, of what a power cut has left."""

    def offline(_):
        raise hub.errors.DownloadError("Nobody answers.", expected="-", found="-", advice="-")

    power_cut.write(state, folder)
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(folder))
    try:
        path = cache.obtain(HANDLE, offline)
    except hub.DownloadError:
        return None, None
    finally:
        cache.remove_leftovers()
        assert not list(folder.glob(".*.partial"))
    return tree(path), cache_entries.entry_of(HANDLE).sha256


class TestCache:
    @pytest.fixture
    def folder(self, tmp_path, monkeypatch):
        monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
        return tmp_path / "cache"

    def test_filled(self, folder, tmp_path, monkeypatch):
        with watched(tmp_path, monkeypatch) as disk:
            obtain(NEW, NEW_SHA256)
        left = [
            found_after(below(state, "cache") or {}, tmp_path / str(number), monkeypatch)
            for number, state in enumerate(disk.states)
        ]
        assert all(
            content in (None, tree(NEW)) and sha256 in (None, NEW_SHA256)
            for content, sha256 in left
        )
        state = below(disk._left(0), "cache")
        assert found_after(state, tmp_path / "x", monkeypatch) == (tree(NEW), NEW_SHA256)

    def test_replaced(self, folder, tmp_path, monkeypatch):
        obtain(OLD, OLD_SHA256)
        with watched(tmp_path, monkeypatch) as disk:
            obtain(NEW, NEW_SHA256)
        known = {OLD_SHA256: tree(OLD), NEW_SHA256: tree(NEW)}
        for number, state in enumerate(disk.states):
            content, sha256 = found_after(
                below(state, "cache"), tmp_path / str(number), monkeypatch
            )
            # Without its descriptor a module is whole, and its checksum not known.
            assert content in known.values()
            assert sha256 is None or known[sha256] == content
        assert (content, sha256) == (tree(NEW), NEW_SHA256)

    def test_replaced_while_what_was_left_is_settled(self, folder, tmp_path, monkeypatch):
        """A second cut, while the first one is being mended."""
        obtain(OLD, OLD_SHA256)
        with watched(tmp_path, monkeypatch) as disk:
            obtain(NEW, NEW_SHA256)
        for number, state in enumerate(disk.states):
            state = below(state, "cache")
            if not any(name.endswith(".partial") for name in state):
                continue
            power_cut.write(state, tmp_path / f"again{number}")
            monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / f"again{number}"))
            with watched(tmp_path / f"again{number}", monkeypatch) as second:
                cache.remove_leftovers()
            for each, left in enumerate(second.states):
                content, _ = found_after(left, tmp_path / f"{number}_{each}", monkeypatch)
                assert content in (tree(OLD), tree(NEW))

    def test_removed(self, folder, tmp_path, monkeypatch):
        obtain(OLD, OLD_SHA256)
        with watched(tmp_path, monkeypatch) as disk:
            cache.remove(cache_entries.entry_of(HANDLE))
        left = [
            found_after(below(state, "cache"), tmp_path / str(number), monkeypatch)[0]
            for number, state in enumerate(disk.states)
        ]
        assert all(content in (None, tree(OLD)) for content in left)
        assert left[-1] is None
