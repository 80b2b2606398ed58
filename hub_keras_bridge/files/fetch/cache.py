"""The cache changes here: a module is put in whole, or not at all.

To the old library's layout (``cache_entries``) this package adds what is hidden:
``.locks/<sha1>``, locked by the operating system while a process fetches that
module, so that the lock ends with the process; and ``.<sha1>.*.partial``, where
it does so. That folder is what a killed process leaves behind. The next one
removes it, after it has put back, or brought to an end, what was being replaced.

On a remote file system, where neither locks nor moves of folders can be relied on,
``remote_entries`` does as much as can be done there.
"""

from __future__ import annotations

import datetime
import errno
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass

from hub_keras_bridge.errors import CacheError, DownloadError, FormatError, HubError, Subject
from hub_keras_bridge.errors.redaction import redact
from hub_keras_bridge.errors.words import legible, show_url
from hub_keras_bridge.files import durable, paths, unfinished
from hub_keras_bridge.files.fetch import integrity, ownership, remote_entries, replacing
from hub_keras_bridge.files.fetch.cache_directory import VARIABLE, directory
from hub_keras_bridge.files.fetch.cache_entries import Entry, entry_of
from hub_keras_bridge.files.locks import Lock, Taken
from hub_keras_bridge.files.writing import telling

_NAME = "[0-9a-f]{40}"
_LOCKS = ".locks"

Fill = Callable[[str], "Receipt"]


@dataclass(frozen=True)
class Receipt:
    """What is known of a module that was just fetched.

    Attributes:
        origin: the URL or file that it came from in the end.
        sha256: that of its archive in hex; None if it came as a folder.
    """

    origin: str
    sha256: str | None = None


def obtain(handle: str, fill: Fill, *, sha256: str | None = None, name: str | None = None) -> str:
    """The folder of a module, fetched if it is not there, or not whole.

    Of many processes and threads that ask at once, one fetches.

    Args:
        handle: the name that the module is kept by.
        fill: puts the module into the empty folder it is given; beside it, at
            that path and a suffix, it may put other files, which go afterwards.
        sha256: of the archive. A module whose archive had another one, or none
            that was noted, or whose files are others than were unpacked, is fetched
            again; it stays until that has worked.
        name: the module in messages and in its descriptor, if not by ``handle``.

    Raises:
        CacheError: the cache cannot be written, or holds a module that is another
            user's, or of no use and could not be fetched again.
        HubError: what ``fill`` raises; the cache is as it was before.
    """
    shown = redact(name or handle)
    subject = Subject(shown)
    entry = entry_of(handle)
    if entry.serves(sha256):
        return entry.path
    with _telling(entry, subject), _locked(entry):
        _remove_leftovers(held=entry)
        # Another process may have been quicker while this one waited.
        if not entry.serves(sha256):
            try:
                _renew(entry, fill, shown, sha256)
            except (DownloadError, FormatError) as error:
                if not entry.exists:
                    raise
                raise _useless(entry, sha256, error, subject) from error
    return entry.path


def remove(entry: Entry) -> bool:
    """Removes a module, unless a process is fetching it right now.

    Returns:
        Whether it is gone.
    """
    with _telling(entry, Subject(entry.handle)):
        try:
            with _locked(entry, wait=False):
                _remove_leftovers(held=entry)
                if entry.is_remote:
                    remote_entries.remove(entry)
                    return True
                with unfinished.unfinished(entry.path, sweep=False) as partial:
                    replacing.take_away(partial, entry)
        except Taken:
            return False
    return True


def leftovers() -> list[str]:
    """Folders in which processes fetch modules, or did when they were killed."""
    return list(unfinished.leftovers(directory(), _NAME))


def remove_leftovers() -> list[str]:
    """Removes what killed processes left behind; returns the folders removed."""
    return _remove_leftovers(held=None)


def _renew(entry: Entry, fill: Fill, shown: str, sha256: str | None) -> None:
    """Fetches a module beside its place, and moves it there when it is whole."""
    if entry.is_remote:
        # Where nothing can be written, that is told before a long download.
        paths.make_folder(os.path.dirname(entry.path))
        with tempfile.TemporaryDirectory(prefix="hub_keras_bridge_") as work:
            new = os.path.join(work, replacing.NEW)
            remote_entries.publish(new, _fetched(new, fill, shown), entry, sha256)
        return
    with unfinished.unfinished(entry.path, sweep=False) as partial:
        description = _fetched(os.path.join(partial, replacing.NEW), fill, shown)
        with open(os.path.join(partial, replacing.NEW_DESCRIPTOR), "w", encoding="utf-8") as stream:
            stream.write(description)
        try:
            replacing.publish(partial, entry)
        finally:
            replacing.settle(partial, entry)


def _fetched(new: str, fill: Fill, shown: str) -> str:
    """Makes a folder with a whole module in it; returns its descriptor's text."""
    os.mkdir(new)
    receipt = fill(new)
    fault = integrity.fault(new)
    if fault:
        raise FormatError(
            "Incomplete download of a TF1 Hub module.",
            Subject(shown),
            expected="a module's files at the root of the archive or folder",
            found=f"{fault} in what came from {show_url(receipt.origin)}",
            advice="check the handle; if it is right, tell the publisher",
        )
    return _described(shown, receipt, integrity.digest(new))


def _described(shown: str, receipt: Receipt, digest: str) -> str:
    lines = [
        f"Module: {legible(shown)}",
        f"Download Time: {datetime.datetime.now()}",
        f"Downloader Hostname: {socket.gethostname()} (PID:{os.getpid()})",
    ]
    if receipt.sha256:
        lines.append(f"SHA256: {receipt.sha256}")
    lines.append(f"Files SHA256: {digest}")
    return "\n".join(lines)


def _useless(entry: Entry, sha256: str | None, error: HubError, subject: Subject) -> CacheError:
    fault = entry.fault
    if fault:
        problem = "A cached TF1 Hub module is broken, and could not be fetched again."
        found = f"{fault} in {entry.path}"
    else:
        problem = (
            "A cached TF1 Hub module has no matching checksum, and could not be fetched again."
        )
        found = f"{entry.path}, {entry.mismatch(sha256 or '')}"
    return CacheError(
        problem,
        subject,
        expected=error.expected if fault else f"sha256 {sha256}",
        found=f"{found}; fetching: {error.problem} {error.found}",
        advice=error.advice if fault else "to use it as it is, leave out sha256",
    )


@contextmanager
def _locked(entry: Entry, wait: bool = True) -> Iterator[None]:
    if entry.is_remote:
        with remote_entries.locked(entry):
            yield
        return
    cache, name = os.path.split(entry.path)
    locks = os.path.join(cache, _LOCKS)
    if os.path.islink(locks):
        raise NotADirectoryError(
            errno.ENOTDIR, "a link is where the locks' folder should be", locks
        )
    durable.make_folders(locks)
    with Lock(os.path.join(locks, name), wait=wait):
        yield


def _remove_leftovers(held: Entry | None) -> list[str]:
    """Removes the folders of processes that died, those without a lock.

    Args:
        held: an entry whose lock this process has already.
    """
    removed = []
    for folder, name in unfinished.leftovers(directory(), _NAME).items():
        owner = Entry(os.path.join(directory(), name))
        # What is in it would be put into the cache.
        if ownership.stranger_in(folder):
            continue
        # Locked, or in a folder that cannot be written.
        with suppress(OSError):
            if owner == held:
                _settle_and_remove(folder, owner)
            else:
                with _locked(owner, wait=False):
                    _settle_and_remove(folder, owner)
        if not os.path.exists(folder):
            removed.append(folder)
    return removed


def _settle_and_remove(folder: str, owner: Entry) -> None:
    replacing.settle(unfinished.work_in(folder), owner)
    shutil.rmtree(folder, ignore_errors=True)


def _telling(entry: Entry, subject: Subject) -> AbstractContextManager[None]:
    """Says of an error on disk that it is the cache's."""
    return telling(
        lambda error: CacheError(
            "Cannot write to the cache of TF1 Hub modules.",
            subject,
            expected=f"to write in {os.path.dirname(entry.path)}",
            found=str(error),
            advice=f"check its permissions and free space, or point {VARIABLE} to another folder",
        )
    )
