"""Where a module may be written: on a local disk, where nothing is yet. No TensorFlow."""

from __future__ import annotations

import os

from hub_keras_bridge.errors import ExportError, Subject
from hub_keras_bridge.resolve import local_path


def require_free_target(path: str | os.PathLike[str], subject: Subject) -> None:
    """Checks that nothing is at a path, or an empty folder.

    Raises:
        ExportError: something is.
    """
    path = local_target(path, subject)
    if os.path.exists(path) and not (os.path.isdir(path) and not os.listdir(path)):
        raise ExportError(
            "Cannot write a TF1 Hub module: the target exists.",
            subject,
            expected=f"no file or non-empty folder at {os.path.abspath(path)}",
            found="one that is there already",
            advice="choose another path; an export never overwrites",
        )


def local_target(path: str | os.PathLike[str], subject: Subject) -> str:
    """The path, or that of a file:// URL.

    Raises:
        ExportError: it is on no local disk.
    """
    local = local_path(path)
    if local is not None:
        return local
    raise ExportError(
        "Cannot write a TF1 Hub module: the target is on no local disk.",
        subject,
        expected="a path or a file:// URL",
        found=repr(os.fspath(path)),
        advice="export to a local folder and copy it; only there is an export all or nothing",
    )
