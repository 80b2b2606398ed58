"""Locks: they exclude, end with their process, and touch nothing that others planted."""

import hashlib
import os
import pathlib
import signal
import stat
import threading

import pytest

import hub_keras_bridge as hub
from hub_keras_bridge.files import unfinished
from hub_keras_bridge.files.fetch import cache, cache_entries
from hub_keras_bridge.files.locks import Lock, Taken

HANDLE = "https://example.org/m"
PRECIOUS = b"what somebody needs"


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "lock")


def test_is_taken_once(path):
    held = Lock(path)
    with pytest.raises(Taken):
        Lock(path, wait=False)
    held.release()
    held.release()
    Lock(path, wait=False).release()


def test_who_waits_gets_it(path):
    held, got = Lock(path), threading.Event()
    thread = threading.Thread(target=lambda: (Lock(path).release(), got.set()))
    thread.start()
    assert not got.wait(0.1)
    held.release()
    assert got.wait(10)
    thread.join()


def test_ends_with_its_process(path):
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        Lock(path)
        os.write(writing, b"x")
        signal.pause()
    os.read(reading, 1)
    with pytest.raises(Taken):
        Lock(path, wait=False)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    Lock(path, wait=False).release()


def test_of_a_parent_ends_while_its_child_lives(path):
    held = Lock(path)
    child = os.fork()
    if not child:
        signal.pause()
    held.release()
    Lock(path, wait=False).release()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_of_a_file_that_is_removed_meanwhile(path):
    """Who waited for a file that is gone holds the one that is there."""
    held, locks = Lock(path), []
    thread = threading.Thread(target=lambda: locks.append(Lock(path)))
    thread.start()
    os.remove(path)
    held.release()
    thread.join(10)
    with pytest.raises(Taken):
        Lock(path, wait=False)
    locks[0].release()


def planted(kind, path, victim):
    """Puts at a lock's path what another user might."""
    path.parent.mkdir(parents=True, exist_ok=True)
    victim.write_bytes(PRECIOUS)
    match kind:
        case "link":
            path.symlink_to(victim)
        case "dangling link":
            path.symlink_to(victim.with_name("new"))
        case "link to a folder":
            victim.with_name("folder").mkdir()
            path.symlink_to(victim.with_name("folder"))
        case "hard link":
            os.link(victim, path)
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "socket":
            os.mknod(path, stat.S_IFSOCK | 0o644)


REFUSED = {
    "link": "a link",
    "dangling link": "a link",
    "link to a folder": "a link",
    "pipe": "a pipe",
    "folder": "a folder",
    "socket": "no regular file",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_file_is_refused(kind, tmp_path):
    planted(kind, tmp_path / "lock", tmp_path / "victim")
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(OSError, match=f"{REFUSED[kind]} is where a lock's file should be"):
        Lock(str(tmp_path / "lock"))
    assert (tmp_path / "victim").read_bytes() == PRECIOUS
    assert sorted(os.listdir(tmp_path)) == before


def test_hard_link_is_locked_and_keeps_its_bytes(tmp_path):
    planted("hard link", tmp_path / "lock", tmp_path / "victim")
    mode = (tmp_path / "victim").stat().st_mode
    Lock(str(tmp_path / "lock")).release()
    assert (tmp_path / "victim").read_bytes() == PRECIOUS
    assert (tmp_path / "victim").stat().st_mode == mode


@pytest.mark.parametrize("kind", REFUSED)
def test_cache_tells_of_it(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    lock = tmp_path / "cache" / ".locks" / hashlib.sha1(HANDLE.encode()).hexdigest()
    planted(kind, lock, tmp_path / "victim")
    with pytest.raises(hub.CacheError) as caught:
        cache.obtain(HANDLE, lambda folder: pytest.fail("it was fetched without a lock"))
    message = str(caught.value)
    assert f"In: module '{HANDLE}'" in message
    assert f"{REFUSED[kind]} is where a lock's file should be: '{lock}'" in message
    assert "point TFHUB_CACHE_DIR to another folder" in message
    assert (tmp_path / "victim").read_bytes() == PRECIOUS


def test_cache_whose_folder_of_locks_is_a_link(tmp_path, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "victim").mkdir()
    (tmp_path / "cache" / ".locks").symlink_to(tmp_path / "victim")
    with pytest.raises(hub.CacheError, match="a link is where the locks' folder should be"):
        cache.obtain(HANDLE, lambda folder: pytest.fail("it was fetched without a lock"))
    assert os.listdir(tmp_path / "victim") == []
    entry = cache_entries.entry_of(HANDLE)
    with pytest.raises(hub.CacheError, match="a link is where the locks' folder should be"):
        cache.remove(entry)


@pytest.mark.parametrize("kind", [*REFUSED, "hard link"])
def test_hidden_folders_that_others_planted(kind, tmp_path):
    """Who writes beside them removes what dead processes left, and nothing else."""
    lock = tmp_path / "to" / ".m.abc.partial" / "lock"
    planted(kind, lock, tmp_path / "victim")
    target = tmp_path / "to" / "made"
    with unfinished.unfinished(str(target)) as folder:
        pathlib.Path(folder, "made").write_text("whole")
    assert (tmp_path / "victim").read_bytes() == PRECIOUS


def test_work_that_is_a_link_is_not_followed(tmp_path):
    left = tmp_path / "to" / ".m.abc.partial"
    planted("hard link", left / "lock", tmp_path / "victim")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(PRECIOUS)
    (left / "work").symlink_to(tmp_path / "folder")
    with unfinished.unfinished(str(tmp_path / "to" / "made")):
        pass
    assert (tmp_path / "folder" / "file").read_bytes() == PRECIOUS
