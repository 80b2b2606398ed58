"""Names of members: what they may look like, and how messages show them."""

from __future__ import annotations

import ntpath
import re

_MAX_BYTES = 1024
_MAX_DEPTH = 100


def flaw(name: str) -> str | None:
    """What is wrong with a member's name, on any operating system; None if nothing.

    >>> flaw("./assets/vocab.txt"), flaw("assets/../../vocab.txt"), flaw("C:vocab.txt")
    (None, 'it leads upwards', 'it names a drive')
    """
    if re.search("[\ud800-\udfff]", name):
        return "it is not UTF-8"
    if len(name.encode()) > _MAX_BYTES:
        return f"it is longer than {_MAX_BYTES} bytes"
    if re.search(r"[\x00-\x1f\x7f]", name):
        return "it has control characters"
    if "\\" in name:
        return "it has a backslash"
    if name.startswith("/"):
        return "it is absolute"
    if ntpath.splitdrive(name)[0]:
        return "it names a drive"
    if ".." in name.split("/"):
        return "it leads upwards"
    if name.count("/") > _MAX_DEPTH:
        return f"it is more than {_MAX_DEPTH} folders deep"
    return None


def show(name: str) -> str:
    """A name as messages have it, of bounded length.

    >>> show("assets/vocab.txt"), len(show("a" * 1000))
    ("'assets/vocab.txt'", 105)
    """
    return repr(name) if len(name) <= 100 else f"{name[:100]!r}..."
