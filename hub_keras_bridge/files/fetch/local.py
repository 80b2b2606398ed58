"""Modules on this machine's disks: folders, and archives that are unpacked into the cache."""

from __future__ import annotations

import os

from hub_keras_bridge.errors import HandleError, Subject
from hub_keras_bridge.errors.redaction import redact, redact_path
from hub_keras_bridge.errors.words import legible
from hub_keras_bridge.files.fetch.archived import cached_archive_file, is_archive, refuse_sha256
from hub_keras_bridge.files.layout import MODULE_FILE, SAVED_MODEL_FILE
from hub_keras_bridge.files.urls import local_path


def is_local(handle: str) -> bool:
    """Whether a handle is a path or a ``file://`` URL."""
    return local_path(handle) is not None


def find(handle: str, sha256: str | None) -> str:
    """The folder at a path, or that of the archive there.

    Raises:
        HandleError: there is neither, or a checksum is given for a folder.
        ArchiveError, FormatError, CacheError: as in ``cached_archive_file``.
    """
    path = local_path(handle)
    assert path is not None
    require_module(path, handle)
    if is_archive(path) and os.path.isfile(path):
        return cached_archive_file(path, sha256)
    refuse_sha256(sha256, Subject(redact(handle)), "a folder")
    return path


def require_module(path: str, handle: str) -> None:
    """Checks that there is something at a path, and no part of a module or Keras model.

    Args:
        path: where it should be.
        handle: the same as the user called it.

    Raises:
        HandleError: there is nothing, or one of these.
    """
    full = legible(os.path.abspath(path))
    problem, found = "this is a file", f"the file {full}"
    shown = redact(handle)
    if not os.path.exists(path):
        # It may be a URL with a slip in it.
        shown = redact_path(handle)
        place = full if shown == handle else legible(os.path.abspath(local_path(shown) or shown))
        problem, found = "there is no such directory", f"nothing at {place}"
        advice = "check the path; an unpacked module is the folder that has saved_model.pb"
    elif os.path.isdir(path):
        return
    elif os.path.basename(full) in (SAVED_MODEL_FILE, MODULE_FILE):
        advice = f"pass the folder that it is in: {os.path.dirname(full)}"
    elif full.endswith(".keras"):
        advice = (
            "load it with keras.models.load_model; to make a module of the one in it, "
            "hub-keras-bridge convert FILE OUT --to hub"
        )
    else:
        return  # An archive, or something that only its content tells.
    raise HandleError(
        f"Cannot resolve the handle of a TF1 Hub module: {problem}.",
        Subject(shown),
        expected="a folder or a .tar.gz file",
        found=found,
        advice=advice,
    )
