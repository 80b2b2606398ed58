"""From a handle to a local directory."""

from __future__ import annotations

import os
import urllib.parse
import urllib.request
from collections.abc import Callable

from hub_keras_bridge.errors import HandleError, Subject


def resolve(handle: str | os.PathLike[str]) -> str:
    """The directory that a handle stands for.

    Args:
        handle: a path, or a ``file://`` URL.

    Raises:
        HandleError: no resolver takes such a handle.

    >>> resolve("/modules/embed"), resolve("file:///modules/my%20embed")
    ('/modules/embed', '/modules/my embed')
    """
    if not isinstance(handle, str | os.PathLike):
        raise HandleError(
            "Cannot resolve the handle of a TF1 Hub module.",
            expected="a path or URL (str or os.PathLike)",
            found=f"{type(handle).__name__}: {handle!r}",
            advice="pass the path of the module's folder",
        )
    text = os.fspath(handle)
    for takes, find in RESOLVERS:
        if takes(text):
            return find(text)
    raise HandleError(
        "Cannot resolve the handle of a TF1 Hub module.",
        Subject(text),
        expected="a path or a file:// URL",
        found=f"a handle of scheme {urllib.parse.urlsplit(text).scheme!r}",
        advice="download and unpack the module, then pass its folder",
    )


def _is_path(handle: str) -> bool:
    return "://" not in handle


def _is_file_url(handle: str) -> bool:
    return handle.startswith("file://")


def _path_of_file_url(handle: str) -> str:
    return urllib.request.url2pathname(urllib.parse.urlsplit(handle).path)


# The first resolver that takes a handle finds its directory.
RESOLVERS: list[tuple[Callable[[str], bool], Callable[[str], str]]] = [
    (_is_path, str),
    (_is_file_url, _path_of_file_url),
]
