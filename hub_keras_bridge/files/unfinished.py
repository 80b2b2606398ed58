"""What is not finished yet: a hidden folder beside what it will become.

Files and folders that this package writes are made in ``.<name>.*.partial``
beside their place, and moved there (``writing``) when they are whole. A process that is killed
leaves such a folder; the next one to write beside it removes it, whatever the
name, since versions are written to a new one each time. The living are told from
the dead by a lock in the folder, which the operating system takes back from a
process that ends.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from hub_keras_bridge.files.locks import Lock, Taken

_SUFFIX = ".partial"
_LOCK = "lock"
_WORK = "work"


@contextmanager
def unfinished(path: str, *, sweep: bool = True) -> Iterator[str]:
    """An empty folder to make something in; it does not outlive the block.

    It is on the same file system as ``path``, and has an ordinary folder's
    permissions.

    Args:
        path: what is to be made; its folder must exist.
        sweep: whether to remove first what killed processes left beside ``path``.

    Raises:
        OSError: no folder can be made there.

    >>> parent = tempfile.mkdtemp()
    >>> with unfinished(os.path.join(parent, "embed")) as folder:
    ...     _ = open(os.path.join(folder, "half"), "w").write("...")
    >>> os.listdir(parent)
    []
    """
    parent, name = os.path.split(os.path.abspath(path))
    if sweep:
        _remove_leftovers(parent)
    folder, lock = _locked_folder(parent, name)
    try:
        yield work_in(folder)
    finally:
        _remove_locked(folder, lock)


def leftovers(parent: str, names: str = ".+") -> dict[str, str]:
    """The hidden folders in a folder, those of living processes included.

    Args:
        parent: where to look; it need not exist.
        names: a regular expression for the whole name of what is being made.

    Returns:
        Path of a hidden folder -> the name of what is being made in it.
    """
    pattern = re.compile(rf"\.({names})\.[^.]+{re.escape(_SUFFIX)}")
    entries = sorted(os.listdir(parent)) if os.path.isdir(parent) else []
    return {
        os.path.join(parent, entry): match.group(1)
        for entry in entries
        if (match := pattern.fullmatch(entry))
    }


def work_in(folder: str) -> str:
    """What :func:`unfinished` yielded when it made a hidden folder."""
    return os.path.join(folder, _WORK)


def _remove_leftovers(parent: str) -> None:
    """Removes the hidden folders of processes that are gone.

    What cannot be removed, another user's for example, is in nobody's way.
    """
    for folder in leftovers(parent):
        with suppress(OSError):
            inside = set(os.listdir(folder))
            if not inside:
                # Its process was killed before it had a lock, or is about to take
                # one, and makes another folder then.
                os.rmdir(folder)
            elif _LOCK in inside and inside <= {_LOCK, _WORK}:  # Else it is none of these.
                _remove_locked(folder, Lock(os.path.join(folder, _LOCK), wait=False))


def _locked_folder(parent: str, name: str) -> tuple[str, Lock | None]:
    """A new hidden folder with the lock that says that this process lives."""
    while True:
        folder = tempfile.mkdtemp(prefix=f".{name}.", suffix=_SUFFIX, dir=parent)
        lock = None
        try:
            lock = _lock_in(folder)
            os.mkdir(work_in(folder))
        except (Taken, FileNotFoundError):
            # Before it was locked, another process took it for a dead one's.
            if lock is not None:
                lock.release()
            continue
        except BaseException:
            _remove_locked(folder, lock)
            raise
        if lock is None or os.path.exists(lock.path):
            return folder, lock
        _remove_locked(folder, lock)


def _lock_in(folder: str) -> Lock | None:
    """Takes the lock at once; None where there are no locks, on some network file systems.

    Nobody removes what is left there.
    """
    try:
        return Lock(os.path.join(folder, _LOCK), wait=False)
    except (Taken, FileNotFoundError):
        raise
    except OSError:
        return None


def _remove_locked(folder: str, lock: Lock | None) -> None:
    # The lock goes last: without it, a folder would be nobody's to remove.
    shutil.rmtree(work_in(folder), ignore_errors=True)
    with suppress(OSError):
        os.remove(os.path.join(folder, _LOCK))  # While it is held, so that nobody else gets it.
    if lock is not None:
        lock.release()
    with suppress(OSError):
        os.remove(os.path.join(folder, _LOCK))  # On Windows, where no open file can be removed.
    with suppress(OSError):
        os.rmdir(folder)
