"""From the bytes of a tar file to its members, header by header.

``tarfile.TarFile`` would do that, but it takes a damaged header in the middle
for the end, does not compare a gzip stream's checksum when it reads a stream,
and holds extended headers of any length in memory.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator

from hub_keras_bridge.files.archive.names import flaw, show
from hub_keras_bridge.files.archive.stream import BLOCK, DISTRUST, Source, refusal

_CHUNK = 2**20
_MAX_EXTENDED_BYTES = 2**16
# A member has one or two, and a file one for all members.
_MAX_EXTENDED_HEADERS = 10
_LENGTH = re.compile(rb"([1-9][0-9]{0,8}) ")

_REFUSED_KINDS = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a named pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
    tarfile.GNUTYPE_LONGLINK: "a link",
}


def next_member(tar: Source) -> tarfile.TarInfo | None:
    """The next file or folder, under its final name and size; None after the last.

    An extended header changes the header that follows it: in tar files of the
    POSIX kind (pax) any property, in GNU tar's a long name. The content of a
    file comes next in ``tar``, and must be read before the next member.

    Raises:
        ArchiveError: the file is damaged, or the member is refused for its kind.
    """
    extended: dict[str, str] = {}
    count = 0
    while header := _next_header(tar):
        count += 1
        if count > _MAX_EXTENDED_HEADERS + 1:
            raise refusal(
                "more",
                expected=f"at most {_MAX_EXTENDED_HEADERS} extended headers of one member",
                advice=DISTRUST,
            )
        if header.type == tarfile.XGLTYPE:
            # For all members: a commit or a comment, as a rule.
            if _pax_records(_extension(tar, header)).keys() & {"path", "size"}:
                raise refusal("one name or size for all members", advice=DISTRUST)
            continue
        if header.type == tarfile.XHDTYPE:
            added = _pax_records(_extension(tar, header))
        elif header.type == tarfile.GNUTYPE_LONGNAME:
            added = {"path": _text(_extension(tar, header).removesuffix(b"\0"))}
        else:
            header.name = extended.get("path", header.name)
            header.size = _size(extended["size"]) if "size" in extended else header.size
            _check_kind(header)
            tar.require_room(header.size)
            return header
        if repeated := sorted(extended.keys() & added.keys()):
            raise refusal(f"a member with two values of {show(repeated[0])}", advice=DISTRUST)
        extended |= added
    if extended:
        raise refusal("a tar file that ends with half a member")
    return None


def content_of(tar: Source, member: tarfile.TarInfo) -> Iterator[bytes]:
    """What follows a member's header, in chunks.

    Raises:
        ArchiveError: the file is cut short.
    """
    left = member.size
    while left:
        data = tar.read(min(left, _CHUNK))
        if not data:
            raise refusal(f"a tar file that is cut short in {show(member.name)}")
        left -= len(data)
        yield data
    tar.read(-member.size % BLOCK)


def name_of(member: tarfile.TarInfo) -> str:
    """Where a member belongs, relative to the module's folder, which itself is ''.

    Raises:
        ArchiveError: its name leads elsewhere, or may on other systems.

    >>> name_of(tarfile.TarInfo("./assets//vocab.txt"))
    'assets/vocab.txt'
    """
    parts = [part for part in member.name.split("/") if part not in ("", ".")]
    is_of_folder = not parts or member.name.endswith(("/", "/."))
    reason = flaw(member.name)
    if reason is None and is_of_folder and not member.isdir():
        reason = "it is no name of a file"
    if reason:
        raise refusal(
            f"{show(member.name)}: {reason}",
            expected="relative names that stay in the module's folder",
            advice=DISTRUST,
        )
    return "/".join(parts)


def _next_header(tar: Source) -> tarfile.TarInfo | None:
    block = tar.read(BLOCK)
    if len(block) < BLOCK:
        raise refusal("a tar file that is cut short")
    if block == bytes(BLOCK):
        # Only after its last byte, gzip compares its checksum.
        while rest := tar.read(_CHUNK):
            if rest.count(0) < len(rest):
                raise refusal("a tar file that goes on after its end", advice=DISTRUST)
        return None
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise refusal(f"a damaged header in the tar file: {error}") from error
    if header.size < 0:
        raise refusal(f"{show(header.name)} of {header.size} bytes", advice=DISTRUST)
    return header


def _check_kind(member: tarfile.TarInfo) -> None:
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE):
        kind = _REFUSED_KINDS.get(member.type, f"a member of unknown type {member.type!r}")
        raise refusal(
            f"{show(member.name)}, {kind}", expected="files and folders alone", advice=DISTRUST
        )
    if member.isdir() and member.size:
        raise refusal(f"{show(member.name)}, a folder with content", advice=DISTRUST)


def _extension(tar: Source, header: tarfile.TarInfo) -> bytes:
    if header.size > _MAX_EXTENDED_BYTES:
        raise refusal(
            f"an extended header of {header.size} bytes",
            expected=f"at most {_MAX_EXTENDED_BYTES} bytes",
            advice=DISTRUST,
        )
    return b"".join(content_of(tar, header))


def _pax_records(data: bytes) -> dict[str, str]:
    """Reads records of the form ``length key=value``; the length counts all of it.

    >>> _pax_records(b"12 path=a/b\\n9 size=3\\n")
    {'path': 'a/b', 'size': '3'}
    """
    records: dict[str, str] = {}
    start = 0
    while start < len(data):
        length = _LENGTH.match(data, start)
        end = start + int(length[1]) if length else len(data) + 1
        key, equals, value = data[length.end() if length else start : end].partition(b"=")
        is_whole = end <= len(data) and equals and value.endswith(b"\n")
        if not is_whole or _text(key) in records:
            raise refusal("a damaged extended header in the tar file")
        records[_text(key)] = _text(value[:-1])
        start = end
    if any(key.startswith("GNU.sparse.") for key in records):
        raise refusal("a sparse file", expected="files and folders alone", advice=DISTRUST)
    return records


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _size(text: str) -> int:
    if not re.fullmatch("[0-9]{1,18}", text):
        raise refusal(f"a file of {show(text)} bytes", advice=DISTRUST)
    return int(text)
