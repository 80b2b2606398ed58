"""Which folder is the cache: one that is set, or one of the user's own for temporary files."""

from __future__ import annotations

import os
import tempfile

from hub_keras_bridge.errors import CacheError, Subject
from hub_keras_bridge.files import paths
from hub_keras_bridge.files.fetch import ownership
from hub_keras_bridge.files.fetch.settings import CACHE_DIR
from hub_keras_bridge.files.urls import file_path, scheme_of

VARIABLE = CACHE_DIR.variable


def directory(subject: Subject | None = None) -> str:
    """The folder of the cache, which may not exist yet: a path, or the URL of a file system.

    Args:
        subject: the module that is looked for, for messages.

    Raises:
        CacheError: TensorFlow has no such file system, or the folder for all users'
            temporary files holds a cache that is somebody else's.
    """
    configured = CACHE_DIR.value
    if not configured:
        default = os.path.join(tempfile.gettempdir(), "tfhub_modules")
        _require_own(default, subject)
        return default
    path = file_path(configured)
    if path is not None:
        return os.path.abspath(path)
    if not paths.is_remote(configured) or scheme_of(configured) not in paths.schemes():
        raise CacheError(
            "Cannot use the cache of TF1 Hub modules: there is no such file system.",
            subject,
            expected=f"{VARIABLE}=/path/of/a/folder, or a URL of one of the schemes file, "
            f"{', '.join(paths.schemes())}",
            found=CACHE_DIR.shown,
            advice="name a folder on one of these; tensorflow_io, imported before, adds some",
        )
    return configured.rstrip("/")


def _require_own(folder: str, subject: Subject | None) -> None:
    """Anybody may make a folder in /tmp, and a module is a program."""
    others = _owners(folder) - ownership.trusted_users() if hasattr(os, "geteuid") else None
    if others:
        raise CacheError(
            "Refused the cache of TF1 Hub modules: the folder is another user's.",
            subject,
            expected=f"{folder} to be made by user {os.geteuid()}, who runs this process",
            found=f"it was made by user {min(others)}",
            advice=f"point {VARIABLE} to a folder of your own, or to this one if you trust that "
            "user with the programs you run",
        )


def _owners(folder: str) -> set[int]:
    """Who made a folder and, if it is a link, who made that; nobody if it is not there."""
    try:
        return {os.lstat(folder).st_uid, os.stat(folder).st_uid}
    except FileNotFoundError:
        return set()
