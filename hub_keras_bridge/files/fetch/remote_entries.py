"""Entries of a cache on a remote file system: made so that no reader takes half for whole.

There, a folder cannot be relied on to move at once (an object store copies object by
object), and a lock would outlive its process. So each process that finds no whole
module fetches one and checks it on its own disk. It copies the files into a folder
``<sha1>.<number>.tmp``, and moves them to their places one by one, ``saved_model.pb``
last, without which a module is not whole. Who comes second finds a whole module and
leaves it. Threads of one process wait for each other.
"""

from __future__ import annotations

import collections
import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from hub_keras_bridge.files import paths
from hub_keras_bridge.files.fetch.cache_entries import Entry
from hub_keras_bridge.files.layout import SAVED_MODEL_FILE

_LOCKS: dict[str, threading.Lock] = collections.defaultdict(threading.Lock)


@contextmanager
def locked(entry: Entry) -> Iterator[None]:
    """Keeps this process's other threads from changing an entry."""
    with _LOCKS[entry.path]:
        yield


def publish(folder: str, description: str, entry: Entry, sha256: str | None) -> None:
    """Copies a module from a local folder to its place.

    Args:
        folder: where it is, whole.
        description: the content of its descriptor.
        entry: the place; what is there is replaced, if it does not serve.
        sha256: of the archive that was asked for; None for any.

    Raises:
        OSError: it cannot be written.
    """
    names = [name.replace(os.sep, "/") for name in paths.files_below(folder)]
    names.sort(key=lambda name: name == SAVED_MODEL_FILE)
    work = f"{entry.path}.{uuid.uuid4().hex}.tmp"
    try:
        for name in names:
            paths.copy(os.path.join(folder, name), f"{work}/{name}")
        replaced = paths.is_file(_marker(entry))
        # Another process may have been quicker.
        if not entry.serves(sha256):
            if replaced:
                paths.remove(_marker(entry))
            for name in set(paths.files_below(entry.path)) - set(names):
                paths.remove(f"{entry.path}/{name}")
            paths.write(entry.descriptor, description.encode())
            # One that is as quick puts the same there, so that its files stay.
            for name in names:
                paths.move(f"{work}/{name}", f"{entry.path}/{name}")
    finally:
        with suppress(OSError):
            paths.remove_folder(work)


def remove(entry: Entry) -> None:
    """Removes a module, first what makes it whole.

    Raises:
        OSError: it cannot be removed.
    """
    paths.remove(entry.descriptor)
    paths.remove(_marker(entry))
    for name in paths.files_below(entry.path):
        paths.remove(f"{entry.path}/{name}")
    with suppress(OSError):
        paths.remove_folder(entry.path)


def _marker(entry: Entry) -> str:
    return f"{entry.path}/{SAVED_MODEL_FILE}"
