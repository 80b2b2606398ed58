"""Modules on the file systems that TensorFlow adds, such as ``gs://``.

A folder there is read in place, as the old library did: it may be larger than
the disk, and it may change. ``TFHUB_MODEL_LOAD_FORMAT=COMPRESSED`` copies it
into the cache instead. An archive is unpacked into the cache in any case.
TensorFlow is imported when such a handle comes, not before.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from hub_keras_bridge.errors import DownloadError, HandleError, Subject
from hub_keras_bridge.errors.redaction import redact
from hub_keras_bridge.errors.words import show_url
from hub_keras_bridge.files import paths
from hub_keras_bridge.files.fetch import cache
from hub_keras_bridge.files.fetch.archived import cached_archive, is_archive, refuse_sha256
from hub_keras_bridge.files.fetch.foreign import redact_within, stand_in
from hub_keras_bridge.files.fetch.settings import LOAD_FORMAT, LOAD_FORMATS
from hub_keras_bridge.files.urls import scheme_of

_Result = TypeVar("_Result")


def load_format() -> str:
    """What is to be done about remote folders; ``"AUTO"`` if nothing is set.

    Raises:
        HandleError: it asks for something else.
    """
    value = LOAD_FORMAT.value or "AUTO"
    if value not in LOAD_FORMATS:
        raise HandleError(
            "Cannot choose how to load TF1 Hub modules.",
            expected=f"{LOAD_FORMAT.variable} to be one of {', '.join(LOAD_FORMATS)}",
            found=repr(value),
            advice="unset it, or set it to one of these",
        )
    return value


def is_remote(handle: str) -> bool:
    """Whether TensorFlow has a file system for the scheme of a handle."""
    return paths.is_remote(handle) and scheme_of(handle) in paths.schemes()


def find(handle: str, sha256: str | None = None) -> str:
    """The folder of a module on a remote file system, or of a copy in the cache.

    Raises:
        HandleError: nothing is there, or it has no checksum that could be checked.
        DownloadError: it cannot be read.
        ArchiveError: the archive is refused, or has another checksum.
        CacheError: the cache cannot be written.
    """
    subject = Subject(redact(handle))
    if is_archive(handle):
        return cached_archive(handle, lambda file: _copy_file(handle, file, subject), sha256)
    refuse_sha256(sha256, subject, "a folder")
    if load_format() == "COMPRESSED":
        return cache.obtain(handle, lambda folder: _copy_folder(handle, folder, subject))
    _require_folder(handle, subject)
    return handle


def _copy_file(source: str, target: str, subject: Subject) -> None:
    import tensorflow as tf

    _read(source, subject, lambda: tf.io.gfile.copy(source, target))


def _copy_folder(source: str, target: str, subject: Subject) -> cache.Receipt:
    _require_folder(source, subject)
    _read(source, subject, lambda: _copy_files(source, target))
    return cache.Receipt(source)


def _copy_files(source: str, target: str) -> None:
    import tensorflow as tf

    for folder, _, names in tf.io.gfile.walk(source):
        inside = os.path.join(target, folder.removeprefix(source).strip("/"))
        os.makedirs(inside, exist_ok=True)
        for name in names:
            tf.io.gfile.copy(f"{folder.rstrip('/')}/{name}", os.path.join(inside, name))


def _require_folder(path: str, subject: Subject) -> None:
    import tensorflow as tf

    if not _read(path, subject, lambda: tf.io.gfile.isdir(path)):
        raise HandleError(
            "Cannot resolve the handle of a TF1 Hub module: there is no such directory.",
            subject,
            expected="a module's folder, or a .tar.gz file",
            found="no folder at this URL",
            advice="check the handle",
        )


def _read(source: str, subject: Subject, action: Callable[[], _Result]) -> _Result:
    """Does something on a remote file system, and tells its errors."""
    import tensorflow as tf

    try:
        return action()
    except tf.errors.OpError as error:
        cause = stand_in(error, source)
        found = redact_within(error.message, source) or type(error).__name__
    raise DownloadError(
        "Cannot read a TF1 Hub module from a remote file system.",
        subject,
        expected=f"to read {show_url(source)}",
        found=found,
        advice="check the handle, the network and your credentials for that file system",
    ) from cause
