"""Moves that a power cut leaves done or undone: what is at a place is whole.

The bytes of a file may reach the disk after its name does, and so after a power cut
a new name may stand for an empty file, and the old one be gone. So what is moved is
on the disk before it gets its name, and the name is on the disk before anything
else goes. Only here does this package rename.
"""

from __future__ import annotations

import errno
import os
import sys

# What says that a file system, or Windows for folders, does not do this.
_UNABLE = {
    errno.EACCES,
    errno.EBADF,
    errno.EINVAL,
    errno.ENOSYS,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.EPERM,
}
# Windows writes out what is open for writing.
_FLAGS = os.O_RDWR if sys.platform == "win32" else os.O_RDONLY


def move(source: str, target: str) -> None:
    """Moves a file or a folder that is whole, in place of a file or an empty folder.

    Raises:
        OSError: it cannot be written or moved.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = open(os.path.join(folder, "made"), "w").write("whole")
    >>> move(os.path.join(folder, "made"), os.path.join(folder, "place"))
    >>> os.listdir(folder)
    ['place']
    """
    sync_all(source)
    rename(source, target)


def place(source: str, target: str) -> None:
    """Moves a file that is whole to where nothing is.

    Raises:
        FileExistsError: something is; not every file system tells.
        OSError: it cannot be written or moved.
    """
    sync_all(source)
    try:
        # Fails where a rename would replace what came there meanwhile.
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # There are no links here.
        os.rename(source, target)
    sync(os.path.dirname(target))


def rename(source: str, target: str) -> None:
    """Moves what is on the disk already, or is to be removed, and waits for the new name."""
    os.replace(source, target)
    sync(os.path.dirname(target))


def make_folders(path: str) -> None:
    """Makes a folder, and those above it, that are found again after a power cut."""
    above = os.path.abspath(path)
    changed = []
    while not os.path.isdir(above):
        above = os.path.dirname(above)
        changed.append(above)
    os.makedirs(path, exist_ok=True)
    for folder in changed:
        sync(folder)


def sync_all(path: str) -> None:
    """As :func:`sync`, all that is in a folder first."""
    if os.path.isdir(path):
        for inside, _, names in os.walk(path, topdown=False, onerror=_raise):
            for name in names:
                sync(os.path.join(inside, name))
            sync(inside)
    else:
        sync(path)


def sync(path: str) -> None:
    """Waits until a file's bytes, or the names in a folder, are on the disk.

    Where that cannot be asked for, it was done as well as can be.

    Raises:
        OSError: they could not be written there.
    """
    if os.path.islink(path):
        return
    try:
        file = os.open(path, _FLAGS)
        try:
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        if error.errno not in _UNABLE:
            raise


def _raise(error: OSError) -> None:
    raise error
