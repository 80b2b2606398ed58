"""Files and folders by path, or by the URL of one of TensorFlow's file systems.

Whatever goes wrong is an OSError. TensorFlow is imported for a URL, not before.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hub_keras_bridge.files.urls import scheme_of

_CHUNK = 2**20
_NO_FILE_SYSTEM = ("", "file", "http", "https")
# What TensorFlow 2 has by itself.
_OF_TENSORFLOW = ("gs", "ram")


def is_remote(path: str) -> bool:
    """Whether a path is the URL of a file system, whichever that is.

    >>> is_remote("gs://bucket/cache"), is_remote("/cache")
    (True, False)
    """
    return scheme_of(path) not in _NO_FILE_SYSTEM


def schemes() -> list[str]:
    """The schemes of TensorFlow's remote file systems; imports may add some."""
    if "tensorflow" not in sys.modules:
        # So nobody has added any, and seconds of importing are saved.
        return list(_OF_TENSORFLOW)
    import tensorflow as tf

    return sorted(set(tf.io.gfile.get_registered_schemes()) - set(_NO_FILE_SYSTEM))


def is_file(path: str) -> bool:
    """Whether there is a file with content of its own: no folder, pipe or device."""
    if not is_remote(path):
        return os.path.isfile(path)
    try:
        with _gfile() as gfile:
            return not gfile.stat(path).is_directory
    except FileNotFoundError:
        return False


def is_folder(path: str) -> bool:
    """Whether there is a folder."""
    if not is_remote(path):
        return os.path.isdir(path)
    with _gfile() as gfile:
        return gfile.isdir(path)


def read(path: str) -> bytes:
    """The content of a file."""
    with _opened(path) as stream:
        return stream.read()


def sha256(path: str) -> str:
    """The checksum of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with _opened(path) as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def write(path: str, content: bytes) -> None:
    """Makes a file on a remote file system, or replaces it."""
    with _gfile() as gfile, gfile.GFile(path, "wb") as stream:
        stream.write(content)


def size(path: str) -> int:
    """How many bytes a file has."""
    if not is_remote(path):
        # Of a link that leads nowhere, its own.
        return os.stat(path, follow_symlinks=os.path.exists(path)).st_size
    with _gfile() as gfile:
        return gfile.stat(path).length


def changed(path: str) -> float:
    """When a file or folder was changed last, in seconds since 1970."""
    if not is_remote(path):
        return os.path.getmtime(path)
    with _gfile() as gfile:
        return gfile.stat(path).mtime_nsec / 1e9


def names_in(folder: str) -> list[str]:
    """What is directly in a folder; nothing if it is not there."""
    if not is_folder(folder):
        return []
    if not is_remote(folder):
        return os.listdir(folder)
    with _gfile() as gfile:
        # Of folders, some file systems say so by a slash.
        names = [name.rstrip("/") for name in gfile.listdir(folder)]
        return [name for name in names if _is_there(gfile, f"{folder}/{name}")]


def files_below(folder: str) -> list[str]:
    """The paths of all files in a folder and in those below it, from that folder on."""
    if not is_remote(folder):
        return [
            os.path.relpath(os.path.join(inside, name), folder)
            for inside, _, names in os.walk(folder)
            for name in names
        ]
    with _gfile() as gfile:
        paths = [
            f"{inside.rstrip('/')}/{name}"
            for inside, _, names in gfile.walk(folder)
            for name in names
        ]
        return [path.removeprefix(f"{folder}/") for path in paths if _is_there(gfile, path)]


def copy(source: str, target: str) -> None:
    """Copies a file from or to a remote file system, and makes the folder it goes to."""
    with _gfile() as gfile:
        gfile.makedirs(os.path.dirname(target))
        gfile.copy(source, target, overwrite=True)


def move(source: str, target: str) -> None:
    """Moves a file within a remote file system, in place of what is there."""
    with _gfile() as gfile:
        gfile.makedirs(os.path.dirname(target))
        gfile.rename(source, target, overwrite=True)


def make_folder(path: str) -> None:
    """Makes a folder on a remote file system, if it is not there."""
    with _gfile() as gfile:
        gfile.makedirs(path)


def remove(path: str) -> None:
    """Removes a file on a remote file system, if it is there."""
    with _gfile() as gfile:
        if gfile.exists(path):
            gfile.remove(path)


def remove_folder(path: str) -> None:
    """Removes a folder on a remote file system and all in it, if it is there."""
    with _gfile() as gfile:
        if gfile.isdir(path):
            gfile.rmtree(path)


def _is_there(gfile: Any, path: str) -> bool:
    # ram:// lists what lies beside a folder, too, if its name begins with the folder's.
    return gfile.exists(path)


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    if not is_remote(path):
        with open(path, "rb") as stream:
            yield stream
        return
    with _gfile() as gfile, gfile.GFile(path, "rb") as stream:
        yield stream


@contextmanager
def _gfile() -> Iterator[Any]:
    import tensorflow as tf

    try:
        yield tf.io.gfile
    except tf.errors.NotFoundError as error:
        raise FileNotFoundError(error.message) from error
    except tf.errors.OpError as error:
        raise OSError(error.message) from error
