"""Unpacks a module's archive: the whole of it, or nothing."""

from __future__ import annotations

import os
import posixpath
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from hub_keras_bridge.errors import ArchiveError, Subject
from hub_keras_bridge.files.archive.members import content_of, name_of, next_member
from hub_keras_bridge.files.archive.names import show
from hub_keras_bridge.files.archive.stream import (
    DISTRUST,
    Source,
    limit_or_default,
    open_tar,
    refusal,
)

# The limit on bytes alone would let millions of empty files pass.
_MAX_ENTRIES = 100_000


def unpack(
    stream: IO[bytes], target: str, *, subject: Subject, max_bytes: int | None = None
) -> None:
    """Unpacks a module's archive into a folder: the whole of it, or nothing.

    Only files and folders are made, all below ``target``, with the permissions
    of any new file. Links, devices and sparse files are refused, and so is a
    name that leads elsewhere or comes twice. Names that the file system does not
    tell apart, such as ``Vocab`` and ``vocab`` on macOS, count as one name there
    and only there: no guess at its rules is needed, since no file is ever opened
    that was not made by opening it.

    Args:
        stream: a tar or tar.gz file, told apart by content; only its ``read`` is
            used, up to the end. What ``read`` raises is passed on.
        target: an empty folder.
        subject: the module, for messages.
        max_bytes: how long the tar file may be once it is decompressed, in bytes;
            None for the environment variable HUB_KERAS_BRIDGE_MAX_UNPACKED_BYTES,
            or where that is not set, 16 GiB (``DEFAULT_MAX_BYTES``).

    Raises:
        ArchiveError: the archive is refused or damaged, or cannot be written.
            ``target`` is empty again, unless it was not empty before.

    >>> import io, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     unpack(io.BytesIO(b"<html>Sign in"), folder, subject=Subject("https://host/embed"))
    Traceback (most recent call last):
    hub_keras_bridge.errors.ArchiveError: Cannot unpack the archive of a TF1 Hub module.
      In: module 'https://host/embed'
      Expected: a tar or tar.gz file
      Found: an HTML page
      What to do: check the handle; such a page often asks to sign in, or says what is wrong
    """
    try:
        with _empty_folder(target) as folder:
            _unpack(open_tar(stream, limit_or_default(max_bytes)), folder)
    except ArchiveError as error:
        error.subject = subject
        raise


def _unpack(tar: Source, folder: _Folder) -> None:
    is_empty = True
    while member := next_member(tar):
        name = name_of(member)
        if member.isdir():
            folder.add_folder(name)
        else:
            folder.add_file(name, content_of(tar, member))
            is_empty = False
    if is_empty:
        raise refusal("an archive with no file in it")


@contextmanager
def _empty_folder(path: str) -> Iterator[_Folder]:
    """An empty folder to fill, which is empty again if that fails."""
    with _writing(path):
        taken = os.listdir(path)
    if taken:
        raise refusal(
            f"{show(taken[0])} in {path}",
            expected="an empty folder to unpack into",
            advice="choose another folder",
        )
    try:
        yield _Folder(path)
    except BaseException:
        _clear(path)
        raise


def _clear(path: str) -> None:
    for entry in os.scandir(path):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            with suppress(OSError):
                os.remove(entry.path)


class _Folder:
    """The folder being filled. All in it was made here, so none of it is a link."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._members: set[str] = set()
        self._folders = {""}

    def add_folder(self, name: str) -> None:
        self._register(name)
        self._make_folders(name)

    def add_file(self, name: str, content: Iterator[bytes]) -> None:
        self._register(name)
        self._make_folders(posixpath.dirname(name))
        with _writing(name):
            # Mode x makes the file that it opens, or fails.
            file = open(os.path.join(self._path, name), "xb")  # noqa: SIM115
        with file:
            for chunk in content:
                with _writing(name):
                    file.write(chunk)
                    file.flush()

    def _register(self, name: str) -> None:
        if name in self._members:
            raise refusal(f"{show(name)} twice", expected="each name once", advice=DISTRUST)
        self._members.add(name)
        self._require_few()

    def _make_folders(self, name: str) -> None:
        if name in self._folders:
            return
        self._make_folders(posixpath.dirname(name))
        self._folders.add(name)
        self._require_few()
        with _writing(name):
            os.mkdir(os.path.join(self._path, name))

    def _require_few(self) -> None:
        if len(self._members) + len(self._folders) > _MAX_ENTRIES:
            raise refusal(
                "more", expected=f"at most {_MAX_ENTRIES} files and folders", advice=DISTRUST
            )


@contextmanager
def _writing(name: str) -> Iterator[None]:
    """Tells the disk's errors, not those of the stream that is read meanwhile."""
    try:
        yield
    except FileExistsError as error:
        raise refusal(
            f"{show(name)} where there is something of that name",
            expected="names that this file system tells apart",
            advice=DISTRUST,
        ) from error
    except OSError as error:
        raise refusal(
            str(error),
            expected=f"to write {show(name)}",
            advice="check permissions and free space; nothing was left behind",
        ) from error
