"""Killed while writing, or without room: the old state or the new one.

The long run is ``python -m stress reliability --part faults``.
"""

import itertools
import os
import pathlib
import re
import shutil
import signal
import sys

import pytest

import hub_keras_bridge as hub
from helpers.places import ZOO
from hub_keras_bridge.files import archive
from hub_keras_bridge.files.fetch import cache, cache_entries
from stress.reliability import writers
from stress.reliability.children import in_process

OLD, NEW = (ZOO / name / "module" for name in ("text_embed", "variants"))
HANDLE = "https://example.org/module"
STEPS = {f"os.{name}" for name in ("mkdir", "rename", "remove", "rmdir", "link")}


def killed_before_each_step(work):
    """Runs a function in forks that are killed before their first, second, ... step.

    Yields after each fork; ends with the one that came to its end.
    """
    for last in itertools.count(1):
        child = os.fork()
        if not child:
            steps = itertools.count(1)

            def hook(event, arguments, steps=steps, last=last):
                writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
                if (writes or event in STEPS) and next(steps) == last:
                    os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(hook)
            work()
            os._exit(0)
        killed = os.waitpid(child, 0)[1] == signal.SIGKILL
        yield last
        if not killed:
            return


def tree(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in pathlib.Path(folder).rglob("*")
        if path.is_file()
    }


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """Puts a module into the cache, by one handle, with a checksum of its own."""
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))

    def put(module, sha256):
        def fill(folder):
            shutil.copytree(module, folder, dirs_exist_ok=True)
            return cache.Receipt("the test", sha256)

        return cache.obtain(HANDLE, fill, sha256=sha256)

    return put


def offline(_):
    raise hub.DownloadError("Cannot fetch.")


class TestCache:
    def test_a_module_that_is_replaced(self, cached, tmp_path):
        """Nobody else has the old one any more: it must not get lost."""
        states = []
        path = cached(OLD, "old")
        for _ in killed_before_each_step(lambda: cached(NEW, "new")):
            assert cache.obtain(HANDLE, offline) == path
            state = "old" if tree(path) == tree(OLD) else "new"
            assert tree(path) == tree(OLD if state == "old" else NEW)
            assert cache_entries.entry_of(HANDLE).sha256 in (state, None)
            cache.remove_leftovers()
            assert cache.leftovers() == []
            assert cache_entries.entry_of(HANDLE).sha256 == state
            states.append(state)
            cached(OLD, "old")
        assert states == sorted(states, reverse=True)
        assert len(states) > 10
        assert states[0] == "old"
        assert states[-3:] == ["new"] * 3

    def test_a_module_that_was_not_there(self, cached):
        states = []
        for _ in killed_before_each_step(lambda: cached(NEW, "new")):
            (entry,) = cache_entries.entries() or [None]
            states.append("new" if entry else "none")
            if entry:
                assert tree(entry.path) == tree(NEW)
                assert entry.sha256 in ("new", None)
                assert cache.remove(entry)
            cache.remove_leftovers()
            assert cache.leftovers() == []
            assert cache_entries.entries() == []
        assert states == sorted(states, reverse=True)
        assert {"none", "new"} == set(states)

    def test_a_module_that_is_removed(self, cached):
        cached(OLD, "old")
        entry = cache_entries.entry_of(HANDLE)
        for _ in killed_before_each_step(lambda: cache.remove(entry)):
            if entry.exists:
                assert tree(entry.path) == tree(OLD)
            cache.remove_leftovers()
            assert cache.leftovers() == []
            cached(OLD, "old")
            assert entry.sha256 == "old"


def test_pack(tmp_path):
    archive.pack(str(OLD), str(tmp_path / "expected.tar.gz"))
    expected = (tmp_path / "expected.tar.gz").read_bytes()
    out = tmp_path / "out"
    out.mkdir()
    states = []
    for step in killed_before_each_step(lambda: archive.pack(str(OLD), str(out / "m.tar.gz"))):
        states.append((out / "m.tar.gz").exists())
        if states[-1]:
            assert (out / "m.tar.gz").read_bytes() == expected
            os.remove(out / "m.tar.gz")
        archive.pack(str(OLD), str(out / "after.tar.gz"))
        assert os.listdir(out) == ["after.tar.gz"], step
        os.remove(out / "after.tar.gz")
    assert states == sorted(states)
    assert set(states) == {False, True}


def test_old_exports_whose_removal_was_begun(tmp_path, scale_spec):
    import keras

    layer = hub.ModuleLayer(scale_spec, name="scaler")
    exporter = hub.LatestModuleExporter(tmp_path, exports_to_keep=1)
    exporter.set_model(keras.Sequential([layer]))
    exporter.export()
    begun = tmp_path / "scaler" / ".1700000000.removed"
    (begun / "variables").mkdir(parents=True)
    foreign = tmp_path / "scaler" / ".best.removed"
    foreign.mkdir()
    exporter.export()
    assert not begun.exists()
    kept = sorted(os.listdir(tmp_path / "scaler"))
    assert kept[0] == ".best.removed"
    assert len(kept) == 2
    assert re.fullmatch("[0-9]{10}", kept[1])


@pytest.mark.slow
@pytest.mark.parametrize("name", writers.WRITERS)
def test_ten_rounds(name):
    found = in_process("faults", "run", name, 10, 1)
    assert found["killed"]["rounds"] == 10
    assert found["killed"]["during a write"] > 0
    for kind in found.keys() - {"killed"}:
        assert 0 < found[kind]["refused"] <= found[kind]["rounds"] == 10
    assert "file too large" in found
