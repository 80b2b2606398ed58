"""Hidden folders of what is being made: who removes them, and who does not."""

import errno
import os
import pathlib
import signal
import threading
import time

import pytest

from hub_keras_bridge.files import locks, unfinished
from hub_keras_bridge.files.unfinished import leftovers


def make(path, content="whole"):
    with unfinished.unfinished(str(path)) as folder:
        made = pathlib.Path(folder, "new")
        made.write_text(content)
        os.rename(made, path)


def names(folder):
    return sorted(os.listdir(folder))


def killed_while_making(path):
    """The hidden folder that a killed process leaves."""
    child = os.fork()
    if not child:
        with unfinished.unfinished(str(path)) as folder:
            pathlib.Path(folder, "half").write_text("x")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    (left,) = leftovers(str(path.parent))
    return left


def test_is_beside_its_place_and_gone_afterwards(tmp_path):
    with unfinished.unfinished(str(tmp_path / "m")) as folder:
        assert os.listdir(folder) == []
        (hidden,) = names(tmp_path)
        assert hidden.startswith(".m.")
        assert hidden.endswith(".partial")
        assert leftovers(str(tmp_path)) == {str(tmp_path / hidden): "m"}
    assert names(tmp_path) == []


def test_has_the_permissions_of_an_ordinary_folder(tmp_path):
    (tmp_path / "plain").mkdir()
    with unfinished.unfinished(str(tmp_path / "m")) as folder:
        assert os.stat(folder).st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("after", ["m", "another"])
def test_of_the_dead_is_removed_by_the_next(tmp_path, after):
    left = killed_while_making(tmp_path / "m")
    assert os.path.exists(left)
    make(tmp_path / after)
    assert names(tmp_path) == [after]


def test_of_the_living_is_not(tmp_path):
    with unfinished.unfinished(str(tmp_path / "m")) as folder:
        make(tmp_path / "m", "quicker")
        child = os.fork()
        if not child:
            make(tmp_path / "other")
            os._exit(0)
        os.waitpid(child, 0)
        assert os.path.isdir(folder)
    assert names(tmp_path) == ["m", "other"]


def test_before_it_was_locked(tmp_path):
    (tmp_path / ".m.abc.partial").mkdir()
    make(tmp_path / "m")
    assert names(tmp_path) == ["m"]


@pytest.mark.parametrize("file", ["mine", "work/mine/deep"])
def test_what_is_none_of_these_is_left_alone(tmp_path, file):
    path = tmp_path / ".m.abc.partial" / file
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    make(tmp_path / "m")
    assert path.read_text() == "mine"


def test_what_cannot_be_locked_is_in_nobodys_way(tmp_path):
    (tmp_path / ".m.abc.partial" / "lock").mkdir(parents=True)
    make(tmp_path / "m")
    assert (tmp_path / ".m.abc.partial").exists()


def test_without_locks_it_works_and_stays_when_killed(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks, "_lock", no_locks)
    left = killed_while_making(tmp_path / "m")
    make(tmp_path / "m")
    assert names(tmp_path) == sorted([os.path.basename(left), "m"])


def test_many_threads_make_and_sweep(tmp_path):
    failures = []

    def work(number):
        try:
            for version in range(20):
                make(tmp_path / f"{number}_{version}", f"{number} {version}")
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(names(tmp_path)) == 160
    assert (tmp_path / "7_19").read_text() == "7 19"


def test_many_processes_make_and_are_killed(tmp_path):
    """At any moment, those before having a lock included."""

    def work():
        while True:
            make(tmp_path / str(os.getpid()), "whole")

    for _ in range(20):
        children = []
        for _ in range(3):
            child = os.fork()
            if not child:
                work()
            children.append(child)
        time.sleep(0.01)
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    make(tmp_path / "last")
    assert all(path.read_text() == "whole" for path in tmp_path.iterdir())
    assert list(leftovers(str(tmp_path))) == []
