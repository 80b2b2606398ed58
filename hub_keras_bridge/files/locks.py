"""Locks on files, which the operating system takes back from a process that ends.

In a folder that others may write to, what is at a lock's path may be theirs: a link
to a file of the user's, a pipe, a folder. So nothing there is followed, written or
emptied, and what is no regular file is refused.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import time

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_PAUSE = 0.05  # Seconds between two tries, where the system does not wait itself.


class Taken(OSError):
    """Somebody else holds the lock."""


class Lock:
    """A lock that this process holds: it excludes its other threads, too.

    Args:
        path: the lock's file, made if it is not there; it stays afterwards.
        wait: whether to wait for who holds it.

    Raises:
        Taken: somebody holds it, and there is no waiting.
        OSError: there are no locks here, or what is at the path is no file for one.

    >>> import tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "lock")
    >>> with Lock(path):
    ...     try:
    ...         Lock(path, wait=False)
    ...     except Taken:
    ...         print("taken")
    taken
    """

    def __init__(self, path: str, *, wait: bool = True) -> None:
        self.path = path
        self._file: int | None = None
        while self._file is None:
            file = _opened(path)
            try:
                _lock(file, wait)
                # Its holder may have removed it meanwhile.
                if _is_at(file, path):
                    self._file = file
            finally:
                if self._file is None:
                    os.close(file)

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Gives it back; again does no harm."""
        file, self._file = self._file, None
        if file is not None:
            _unlock(file)
            os.close(file)


def _opened(path: str) -> int:
    try:
        if os.path.islink(path):  # Where there is no O_NOFOLLOW.
            raise OSError(errno.ELOOP, "it is a link")
        file = os.open(path, _FLAGS, 0o644)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise _no_file(path) from error
        raise
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise _no_file(path)
    return file


def _no_file(path: str) -> OSError:
    kinds = {stat.S_IFLNK: "a link", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe"}
    found = kinds.get(stat.S_IFMT(os.lstat(path).st_mode), "no regular file")
    return OSError(errno.EINVAL, f"{found} is where a lock's file should be", path)


def _is_at(file: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.lstat(path))
    except FileNotFoundError:
        return False


if sys.platform == "win32":

    def _lock(file: int, wait: bool) -> None:
        while True:
            try:
                return msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
            except OSError as error:
                if not wait:
                    raise Taken(error.errno, "somebody else holds the lock") from error
            time.sleep(_PAUSE)

    def _unlock(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)

else:

    def _lock(file: int, wait: bool) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Taken(error.errno, "somebody else holds the lock") from error

    def _unlock(file: int) -> None:
        # Closing alone would leave it to a process that was forked meanwhile.
        fcntl.flock(file, fcntl.LOCK_UN)
