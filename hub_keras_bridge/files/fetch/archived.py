"""Modules that travel as an archive: checked, unpacked, kept in the cache."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable

from hub_keras_bridge.errors import ArchiveError, DownloadError, HandleError, HubError, Subject
from hub_keras_bridge.errors.redaction import redact
from hub_keras_bridge.errors.words import show_url
from hub_keras_bridge.files import archive
from hub_keras_bridge.files.fetch import cache
from hub_keras_bridge.files.fetch.foreign import redact_within, stand_in

SUFFIXES = (".tar.gz", ".tgz", ".tar")
_CHUNK = 2**20


def cached_archive(handle: str, fetch: Callable[[str], object], sha256: str | None = None) -> str:
    """The folder of a module that comes as a tar or tar.gz file.

    It is unpacked into the cache, once for each handle.

    Args:
        handle: what the module is kept by.
        fetch: writes the archive to the path it is given. It is not called for a
            module that is in the cache.
        sha256: of the archive, in hex; None for any.

    Returns:
        The path of the module's folder in the cache.

    Raises:
        DownloadError: ``fetch`` raised an OSError.
        ArchiveError: the archive is refused, or has another checksum.
        FormatError: it holds no whole module.
        CacheError: the cache cannot be written.
        HandleError: ``sha256`` is no checksum.

    Example, where a folder stands for another kind of store:

    >>> import shutil, tempfile, unittest.mock, tensorflow as tf, hub_keras_bridge as hub
    >>> def module_fn():
    ...     x = tf.compat.v1.placeholder(tf.float32, [None])
    ...     hub.add_signature(inputs=x, outputs=2 * x)
    >>> made, store = tempfile.mkdtemp(), tempfile.mkdtemp()
    >>> hub.create_module_spec(module_fn).export(made)
    >>> archive.pack(made, os.path.join(store, "double.tar.gz"))
    >>> def find(handle, sha256):
    ...     stored = os.path.join(store, handle.removeprefix("store://"))
    ...     return hub.cached_archive(handle, lambda file: shutil.copy(stored, file), sha256)
    >>> with unittest.mock.patch.dict(os.environ, TFHUB_CACHE_DIR=tempfile.mkdtemp()):
    ...     sorted(os.listdir(find("store://double.tar.gz", None)))
    ['saved_model.pb', 'tfhub_module.pb']
    """

    def fill(folder: str) -> cache.Receipt:
        file = f"{folder}.archive"
        _fetch(fetch, file, handle)
        return unpacked(file, folder, handle, sha256, origin=handle)

    return cache.obtain(handle, fill, sha256=checked_sha256(sha256, Subject(redact(handle))))


def cached_archive_file(file: str, sha256: str | None = None) -> str:
    """The folder of a module in a local archive, kept by its content.

    Messages and the cache have its full path: it may be relative to any folder.

    Raises:
        ArchiveError: the archive is refused, or has another checksum.
        FormatError: it holds no whole module.
        CacheError: the cache cannot be written.
    """

    file = os.path.abspath(file)

    def fill(folder: str) -> cache.Receipt:
        return unpacked(file, folder, file, sha256, origin=file)

    return cache.obtain(f"sha256:{sha256_of(file)}", fill, sha256=sha256, name=file)


def unpacked(file: str, folder: str, handle: str, sha256: str | None, origin: str) -> cache.Receipt:
    """Unpacks an archive into an empty folder, if it has the right checksum.

    Args:
        file: the archive.
        folder: where the module is to be.
        handle: the module as the user called it.
        sha256: of the archive, in hex; None for any.
        origin: the URL or file that it was fetched from in the end.

    Raises:
        ArchiveError: the archive is refused, or has another checksum.
    """
    subject = Subject(redact(handle))
    digest = sha256_of(file)
    _require_sha256(digest, sha256, subject, origin)
    try:
        with open(file, "rb") as stream:
            archive.unpack(stream, folder, subject=subject)
    except ArchiveError as error:
        error.found = f"{error.found}, from {show_url(origin)}"
        raise
    return cache.Receipt(origin, digest)


def sha256_of(file: str) -> str:
    """The checksum of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with open(file, "rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def checked_sha256(sha256: str | None, subject: Subject) -> str | None:
    """A checksum that a user gives, in lower case.

    Raises:
        HandleError: it is none.

    >>> checked_sha256("AB" * 32, Subject())[:6]
    'ababab'
    """
    if sha256 is None:
        return None
    digits = sha256.strip().lower()
    if len(digits) != 64 or set(digits) - set("0123456789abcdef"):
        raise HandleError(
            "Invalid sha256 of a TF1 Hub module.",
            subject,
            expected="sha256 as 64 hexadecimal digits, as sha256sum prints them",
            found=repr(sha256),
            advice="copy all of the checksum",
        )
    return digits


def refuse_sha256(sha256: str | None, subject: Subject, what: str) -> None:
    """Tells a user that there is no archive whose checksum could be compared.

    Raises:
        HandleError: a checksum was given.
    """
    if sha256 is not None:
        raise HandleError(
            "Cannot check the sha256 of a TF1 Hub module that comes without its archive.",
            subject,
            expected="the handle of an archive: a .tar.gz file, or an http(s):// URL",
            found=what,
            advice="leave out sha256, or pass the module's archive",
        )


def is_archive(path: str) -> bool:
    """Whether a path or URL names an archive.

    >>> is_archive("/modules/embed.tar.gz"), is_archive("gs://modules/embed")
    (True, False)
    """
    return os.fspath(path).lower().endswith(SUFFIXES)


def _fetch(fetch: Callable[[str], object], file: str, handle: str) -> None:
    """Runs a user's function, so that its errors are not taken for the cache's."""
    try:
        fetch(file)
        return
    except HubError:
        raise
    except OSError as error:
        cause, found = stand_in(error, handle), redact_within(str(error), handle)
    raise DownloadError(
        "Cannot fetch the archive of a TF1 Hub module.",
        Subject(redact(handle)),
        expected=f"to write it to {file}",
        found=found,
        advice="check the handle",
    ) from cause


def _require_sha256(digest: str, sha256: str | None, subject: Subject, origin: str) -> None:
    if sha256 not in (None, digest):
        raise ArchiveError(
            "Refused the archive of a TF1 Hub module: it has another checksum.",
            subject,
            expected=f"sha256 {sha256}",
            found=f"sha256 {digest}, from {show_url(origin)}",
            advice="compare the checksum with its publisher's; if that is this one, somebody "
            "changed the file",
        )
