"""A new file: the whole of it, or nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from hub_keras_bridge.errors import HubError, TableError
from hub_keras_bridge.files.unfinished import whole


def require_free(path: str, overwrite: bool) -> None:
    """Checks that a file may be written.

    Raises:
        TableError: there is one already, or a folder.
    """
    if os.path.isdir(path) or (os.path.exists(path) and not overwrite):
        raise TableError(
            f"Cannot write {path!r}: it exists.",
            expected="no file there",
            found=f"{'a folder' if os.path.isdir(path) else 'a file'} at {os.path.abspath(path)}",
            advice="choose another path"
            if os.path.isdir(path)
            else "choose another path, or pass overwrite=True to replace the file",
        )


@contextmanager
def new_file(path: str, overwrite: bool = False) -> Iterator[str]:
    """A path, in a folder for temporary files, that becomes ``path`` in the end.

    Args:
        path: the file to make; its folder must exist.
        overwrite: whether to replace a file that is there.

    Raises:
        TableError: there is a file, or writing failed; nothing is left then.
    """
    path = os.path.abspath(path)
    require_free(path, overwrite)
    try:
        with whole(path) as made:
            yield made
            require_free(path, overwrite)
    except OSError as error:
        if isinstance(error, HubError):
            raise
        raise TableError(
            f"Cannot write {path!r}.",
            expected="to make a file there",
            found=str(error),
            advice="check folder, permissions and free space; nothing was left behind",
        ) from error
