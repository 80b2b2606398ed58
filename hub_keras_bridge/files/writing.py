"""The writer of new files and folders: the whole of one, or nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hub_keras_bridge.errors import HubError
from hub_keras_bridge.files import durable
from hub_keras_bridge.files.unfinished import unfinished


@contextmanager
def whole(
    path: str, *, require_free: Callable[[], None] = lambda: None, parents: bool = False
) -> Iterator[str]:
    """A path for a file or folder that comes to ``path`` when the block succeeds.

    What a power cut leaves at ``path`` is what was there, or what was made. A file is
    put in place of another only if ``require_free`` has seen that one.

    Args:
        path: where it comes to be.
        require_free: raises an error if something is there that is to stay; asked
            before the block and behind it.
        parents: whether to make the folder that it is in.

    Raises:
        OSError: it cannot be made there.

    >>> import tempfile
    >>> parent = tempfile.mkdtemp()
    >>> with whole(os.path.join(parent, "embed.txt")) as made:
    ...     _ = open(made, "w").write("whole")
    >>> os.listdir(parent)
    ['embed.txt']
    """
    path = os.path.abspath(path)
    require_free()
    if parents:
        durable.make_folders(os.path.dirname(path))
    with unfinished(path) as folder:
        made = os.path.join(folder, os.path.basename(path))
        yield made
        _put(made, path, require_free)


def _put(made: str, path: str, require_free: Callable[[], None]) -> None:
    require_free()
    if os.path.isfile(made) and not os.path.lexists(path):
        try:
            return durable.place(made, path)
        except FileExistsError:  # It came meanwhile.
            require_free()
    durable.move(made, path)


@contextmanager
def telling(failed: Callable[[OSError], HubError]) -> Iterator[None]:
    """Tells of an error on disk in the words of who writes.

    Args:
        failed: the error to raise in its place.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, HubError):
            raise
        raise failed(error) from error
