"""From a stream to the bytes of a tar file: what it looks like, gzip, the limit."""

from __future__ import annotations

import os
import re
import tarfile
import zlib
from collections.abc import Callable
from typing import IO

from hub_keras_bridge.errors import ArchiveError

# TF1 Hub modules weigh from kilobytes to a few gigabytes. There is no limit on
# the ratio: weights that are all zeros may well shrink as much as gzip allows.
DEFAULT_MAX_BYTES = 16 * 2**30
MAX_BYTES_VARIABLE = "HUB_KERAS_BRIDGE_MAX_UNPACKED_BYTES"

BLOCK = tarfile.BLOCKSIZE
GZIP_MAGIC = b"\x1f\x8b"

DISTRUST = (
    "do not trust this file; if you know where it comes from, unpack it with other tools, look "
    "at what it holds and pass the folder"
)
_FETCH_AGAIN = "fetch it again, and compare its length and sha256 with the publisher's"
_COMPRESSED_CHUNK = 2**15
_UNPACK_IT = "unpack it and pass the folder, or have it hosted as a tar.gz file"
_CHECK_HANDLE = "check the handle; such a page often asks to sign in, or says what is wrong"

# How files begin that are mistaken for archives of modules, and what to do then. None of
# these has more than one way to match.
_KINDS = [
    (rb"\Z", "an empty file", _FETCH_AGAIN),
    (rb"<(!doctype\s|html|head|body)", "an HTML page", None),
    (rb"<\?xml", "an XML document", None),
    (rb"[\[{]\s*[\"\]}]", "a JSON document", None),
    (rb"version https://git-lfs", "a Git LFS pointer", "fetch what it stands for: git lfs pull"),
    (rb"PK(\x03\x04|\x05\x06)", "a zip archive", _UNPACK_IT),
    (rb"BZh[1-9]", "a bzip2 file", _UNPACK_IT),
    (rb"\xfd7zXZ\x00", "an xz file", _UNPACK_IT),
    (rb"\x28\xb5\x2f\xfd", "a zstd file", _UNPACK_IT),
    (GZIP_MAGIC, "another gzip file", _UNPACK_IT),
]


class Source:
    """A stream that reads in full, can be looked at before, and has a limit.

    Args:
        read: takes a number of bytes and returns as many, or fewer, but none
            only at the end.
        limit: how many bytes may be read; None for any number.
    """

    def __init__(self, read: Callable[[int], bytes], limit: int | None = None) -> None:
        self._read = read
        self._limit = limit
        self._ahead = b""
        self._taken = 0

    def peek(self, size: int) -> bytes:
        """The next bytes; fewer only where the stream ends."""
        # Bytes may come one by one; each is copied once.
        parts, missing = [self._ahead], size - len(self._ahead)
        while missing > 0 and (data := self._read(missing)):
            parts.append(data)
            missing -= len(data)
        if len(parts) > 1:
            self._ahead = b"".join(parts)
        return self._ahead[:size]

    def read(self, size: int) -> bytes:
        """Takes the next bytes; fewer only where the stream ends.

        Raises:
            ArchiveError: that is more than the limit.
        """
        data = self.peek(size)
        self._ahead = self._ahead[size:]
        self.require_room(len(data))
        self._taken += len(data)
        return data

    def require_room(self, size: int) -> None:
        """Checks that as much may still be read.

        Raises:
            ArchiveError: it may not.
        """
        if self._limit is not None and self._taken + size > self._limit:
            raise refusal(
                f"{self._taken + size} bytes, or more",
                expected=f"at most {self._limit} bytes when unpacked",
                advice="if you trust the publisher and have the space, raise the limit with the "
                f"environment variable {MAX_BYTES_VARIABLE}",
            )


def open_tar(stream: IO[bytes], limit: int) -> Source:
    """The tar file in a stream, decompressed where need be.

    Args:
        stream: a tar or tar.gz file, told apart by content.
        limit: how many bytes the tar file may have.

    Raises:
        ArchiveError: it is neither; later, when it is read: it is damaged, or
            longer than the limit.
    """
    raw = Source(stream.read)
    is_gzip = raw.peek(len(GZIP_MAGIC)) == GZIP_MAGIC
    tar = Source(_Gunzip(raw).read if is_gzip else raw.read, limit)
    head = tar.peek(BLOCK)
    if not _is_tar(head):
        found, advice = _describe(head)
        raise refusal(
            f"a gzip file that holds {found}" if is_gzip else found,
            expected="a tar or tar.gz file",
            advice=advice,
        )
    return tar


def limit_or_default(max_bytes: int | None) -> int:
    """The limit that is given, or set for the process, or the default.

    Raises:
        ArchiveError: what is set is no number.
    """
    if max_bytes is not None:
        return max_bytes
    text = os.environ.get(MAX_BYTES_VARIABLE)
    if text is None:
        return DEFAULT_MAX_BYTES
    if not re.fullmatch("[0-9]{1,18}", text):
        raise refusal(
            f"{MAX_BYTES_VARIABLE}={text!r}",
            expected="a whole number of bytes in this environment variable",
            advice=f"set it as in {MAX_BYTES_VARIABLE}={2 * DEFAULT_MAX_BYTES}, or unset it",
        )
    return int(text)


def refusal(
    found: str,
    expected: str = "a tar or tar.gz file, whole and undamaged",
    advice: str = _FETCH_AGAIN,
) -> ArchiveError:
    """An error that is still to be told which module it is about."""
    return ArchiveError(
        "Cannot unpack the archive of a TF1 Hub module.",
        expected=expected,
        found=found,
        advice=advice,
    )


class _Gunzip:
    """A gzip file (RFC 1952): members, one after the other, and zeros after the last.

    Their headers, which may hold a name and a comment of any length, are read by zlib
    in C, and so are their checksums. ``gzip.GzipFile`` takes them byte by byte.
    """

    _GZIP_ALONE = 16 + zlib.MAX_WBITS

    def __init__(self, raw: Source) -> None:
        self._raw = raw
        self._data = b""
        self._member = zlib.decompressobj(self._GZIP_ALONE)

    def read(self, size: int) -> bytes:
        """As many bytes or fewer, but none only at the end."""
        while True:
            if self._member.eof and not self._next_member():
                return b""
            try:
                out = self._member.decompress(self._data, size)
            except zlib.error as error:
                found = f"a gzip file that is damaged, or followed by something else: {error}"
                raise refusal(found) from error
            is_end = self._member.eof
            self._data = self._member.unused_data if is_end else self._member.unconsumed_tail
            if out:
                return out
            if not is_end and not self._more():
                raise refusal("a gzip file that is cut short")

    def _next_member(self) -> bool:
        while not (rest := self._data.lstrip(b"\0")):
            if not self._more():
                return False
        self._data = rest
        self._member = zlib.decompressobj(self._GZIP_ALONE)
        return True

    def _more(self) -> bool:
        self._data = self._raw.read(_COMPRESSED_CHUNK)
        return bool(self._data)


def _is_tar(head: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        # An archive ends with blocks of zeros: this one would be empty.
        return head == bytes(BLOCK)
    return True


def _describe(head: bytes) -> tuple[str, str]:
    """What a file looks like that is no tar file, and what to do about it."""
    start = _without_comments(head)
    for pattern, kind, advice in _KINDS:
        if re.match(pattern, start, re.IGNORECASE):
            return kind, advice or _CHECK_HANDLE
    return f"a file that begins with {head[:16]!r}", "check the handle, and fetch it again"


def _without_comments(head: bytes) -> bytes:
    """How a text begins behind a byte order mark, spaces and comments of HTML."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    while start.startswith(b"<!--"):
        _, end, rest = start.partition(b"-->")
        if not end:
            return start
        start = rest.lstrip()
    return start or head
