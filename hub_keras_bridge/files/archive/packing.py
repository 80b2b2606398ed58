"""Packs a module's folder into an archive of reproducible bytes."""

from __future__ import annotations

import os
import pathlib
import posixpath
import struct
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO, cast

from hub_keras_bridge.errors import ExportError, Subject
from hub_keras_bridge.files.archive.names import flaw, show
from hub_keras_bridge.files.archive.stream import GZIP_MAGIC
from hub_keras_bridge.files.layout import ASSETS_FOLDER, MODULE_FILE, SAVED_MODEL_FILE
from hub_keras_bridge.files.writing import telling, whole


def pack(folder: str, file: str) -> None:
    """Packs a module's folder into a tar.gz file: the whole of it, or nothing.

    The bytes depend on the names and contents of the files alone: neither on
    times, owners, permissions, empty folders and the order on disk, nor on the
    archive's own name, the machine or its release of zlib. The last is why the
    gzip file holds the tar file uncompressed, since each release may compress in
    its own way. For weights, most of a module, that makes little difference. The
    tar file is written by Python's ``tarfile``, and a test holds its bytes.

    Args:
        folder: the module. All its files are packed; refused are links, and
            hidden files outside ``assets/``, which belong to no module.
        file: the file to write, by convention ``*.tar.gz``; it must not exist.

    Raises:
        ExportError: the folder is no module, the file exists or writing failed;
            nothing is left behind.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     os.mkdir(f"{folder}/embed")
    ...     for name in ("tfhub_module.pb", "saved_model.pb"):
    ...         _ = pathlib.Path(folder, "embed", name).write_bytes(b"")
    ...     pack(f"{folder}/embed", f"{folder}/embed.tar.gz")
    ...     with tarfile.open(f"{folder}/embed.tar.gz") as tar:
    ...         print(tar.getnames())
    ['saved_model.pb', 'tfhub_module.pb']
    """
    names = _names(folder)
    with _new_file(file, folder) as out:
        gz = _UncompressedGzip(out)
        with tarfile.open(
            fileobj=cast(IO[bytes], gz), mode="w|", format=tarfile.PAX_FORMAT, encoding="utf-8"
        ) as tar:
            for name in names:
                _add(tar, os.path.join(folder, name), name)
        gz.finish()


def _names(folder: str) -> list[str]:
    """The files of a module and the folders that lead to them, folders first."""
    for name in (MODULE_FILE, SAVED_MODEL_FILE):
        if not os.path.isfile(os.path.join(folder, name)):
            raise _cannot_pack(
                folder,
                expected=f"a module's folder, with {MODULE_FILE} and {SAVED_MODEL_FILE} in it",
                found=f"no {name} in it" if os.path.isdir(folder) else "no such folder",
                advice="point to the folder that holds the module's own files",
            )
    names = set()
    for name in _files(folder, ""):
        while name:
            names.add(name)
            name = posixpath.dirname(name)
    return sorted(names)


def _files(folder: str, inside: str) -> Iterator[str]:
    with _disk(folder):
        entries = list(os.scandir(os.path.join(folder, inside)))
    for entry in entries:
        name = posixpath.join(inside, entry.name)
        if reason := _reason_to_refuse(entry, name):
            raise _cannot_pack(
                folder,
                expected="the files of a module alone",
                found=f"{show(name)}: {reason}",
                advice="pack a copy of the module without it; cp -rL puts files in place of links",
            )
        if entry.is_dir():
            yield from _files(folder, name)
        else:
            yield name


def _reason_to_refuse(entry: os.DirEntry[str], name: str) -> str | None:
    if entry.is_symlink():
        return "it is a link"
    if not (entry.is_dir() or entry.is_file()):
        return "it is no file"
    # A vocabulary may have any name; elsewhere it is a version control's folder,
    # an editor's or a file manager's file, which would be published unseen.
    if entry.name.startswith(".") and not name.startswith(f"{ASSETS_FOLDER}/"):
        return "it is hidden"
    return flaw(name)


def _add(tar: tarfile.TarFile, path: str, name: str) -> None:
    # What is not set here is zero or empty in a TarInfo: time and owner.
    member = tarfile.TarInfo(name)
    if os.path.isdir(path):
        member.type, member.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(member)
    else:
        with open(path, "rb") as content:
            member.size, member.mode = os.fstat(content.fileno()).st_size, 0o644
            tar.addfile(member, content)


class _UncompressedGzip:
    """A gzip file (RFC 1952) of stored blocks (RFC 1951, section 3.2.4)."""

    _LONGEST_BLOCK = 0xFFFF

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._pending = bytearray()
        self._crc = 0
        self._size = 0
        # Deflate, no flags, no time, no level, unknown operating system.
        out.write(GZIP_MAGIC + b"\x08\x00\x00\x00\x00\x00\x00\xff")

    def write(self, data: bytes) -> int:
        self._crc = zlib.crc32(data, self._crc)
        self._size += len(data)
        self._pending += data
        # One byte at least is kept for the last block, which must say that it is.
        while len(self._pending) > self._LONGEST_BLOCK:
            self._write_block(self._pending[: self._LONGEST_BLOCK], is_last=False)
            del self._pending[: self._LONGEST_BLOCK]
        return len(data)

    def finish(self) -> None:
        self._write_block(self._pending, is_last=True)
        self._out.write(struct.pack("<II", self._crc, self._size & 0xFFFFFFFF))

    def _write_block(self, data: bytearray, *, is_last: bool) -> None:
        self._out.write(struct.pack("<BHH", is_last, len(data), len(data) ^ 0xFFFF) + data)


@contextmanager
def _new_file(path: str, folder: str) -> Iterator[IO[bytes]]:
    """A file beside ``path`` that becomes ``path`` when the block succeeds."""
    target = pathlib.Path(path).absolute()
    if target.parent.resolve().is_relative_to(pathlib.Path(folder).resolve()):
        raise _cannot_pack(
            folder,
            expected="a file outside the module's folder",
            found=str(target),
            advice="choose another path; an archive in the folder would become part of the module",
        )

    def require_free() -> None:
        if os.path.lexists(target):
            raise _cannot_pack(
                folder,
                expected=f"no file at {target}",
                found="one that is there already",
                advice="choose another path; pack never overwrites",
            )

    with (
        _disk(folder),
        whole(str(target), require_free=require_free, parents=True) as made,
        open(made, "xb") as out,
    ):
        yield out


def _disk(folder: str) -> AbstractContextManager[None]:
    return telling(
        lambda error: _cannot_pack(
            folder,
            expected="to read the module and to write the archive",
            found=str(error),
            advice="check permissions and free space; nothing was left behind",
        )
    )


def _cannot_pack(folder: str, *, expected: str, found: str, advice: str) -> ExportError:
    return ExportError(
        "Cannot pack a TF1 Hub module.",
        Subject(os.fspath(folder)),
        expected=expected,
        found=found,
        advice=advice,
    )
