"""Where a module may be written: on a local disk, where no module is yet. No TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Iterable

from hub_keras_bridge.errors import ExportError, Subject
from hub_keras_bridge.errors.redaction import redact
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.files.layout import MODULE_FILE, SAVED_MODEL_FILE, VARIABLES_PREFIX
from hub_keras_bridge.files.urls import local_path


def require_free_target(
    path: str | os.PathLike[str], subject: Subject, kind: type[ExportError] = ExportError
) -> None:
    """Checks that nothing is at a path, or an empty folder.

    Args:
        path: where something is to be written.
        subject: the module, for messages.
        kind: what to raise; where there is TensorFlow, one that is its error, too.

    Raises:
        ExportError: something is.
    """
    path = local_target(path, subject)
    if os.path.exists(path) and not (os.path.isdir(path) and not os.listdir(path)):
        raise kind(
            "Cannot write a TF1 Hub module: the target exists.",
            subject,
            expected=f"no file or non-empty folder at {os.path.abspath(path)}",
            found="one that is there already",
            advice="choose another path; an export never overwrites",
        )


def require_no_module(
    path: str | os.PathLike[str],
    subject: Subject,
    files: Iterable[str] = (),
    kind: type[ExportError] = ExportError,
) -> None:
    """Checks that nothing is at a path, or a folder with none of a module's files.

    Args:
        path: where a module is to be written.
        subject: the module, for messages.
        files: the paths that its files will have in the folder, as far as they are
            known. What every module has is looked for in any case.
        kind: as in :func:`require_free_target`.

    Raises:
        ExportError: something is.
    """
    path = local_target(path, subject)
    if not os.path.isdir(path):
        return require_free_target(path, subject, kind)
    variables = os.path.join(path, os.path.dirname(VARIABLES_PREFIX))
    taken = [
        name
        for name in {MODULE_FILE, SAVED_MODEL_FILE, f"{SAVED_MODEL_FILE}txt", *files}
        if os.path.lexists(os.path.join(path, name))
    ]
    if os.path.isdir(variables):
        # A shard of another checkpoint would pass for one of this.
        prefix = f"{os.path.basename(VARIABLES_PREFIX)}."
        taken += [f"variables/{name}" for name in os.listdir(variables) if name.startswith(prefix)]
    if taken:
        raise kind(
            "Cannot write a TF1 Hub module: the target exists.",
            subject,
            expected=f"no file of a module in {os.path.abspath(path)}",
            found=choices(taken),
            advice="choose another path; an export never overwrites",
        )


def folder_fault(path: str | os.PathLike[str], *, parents: bool = False) -> str | None:
    """Why nothing can be made at a path, as far as its folder tells; None if it does not.

    Args:
        path: where a file or folder is to be made.
        parents: whether folders that are not there are made, too.

    >>> folder_fault("/no/such/vectors.npy")
    'no folder /no/such'
    """
    folder = os.path.dirname(os.path.abspath(path))
    while parents and not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    if not os.path.isdir(folder):
        return f"{'a file, no folder, at' if os.path.lexists(folder) else 'no folder'} {folder}"
    return None if os.access(folder, os.W_OK | os.X_OK) else f"no right to write in {folder}"


def require_target_folder(path: str | os.PathLike[str], subject: Subject) -> None:
    """Checks that the folder of a target is there, or can be made.

    Raises:
        ExportError: it is not.
    """
    if fault := folder_fault(local_target(path, subject), parents=True):
        raise ExportError(
            f"Cannot write to {os.fspath(path)!r}.",
            subject,
            expected="a folder that can be written to, or made",
            found=fault,
            advice="choose another path, or check permissions",
        )


def other_ending(path: str, ending: str) -> str:
    """A path with another ending.

    >>> other_ending("/models/embed.v1.xml", ".bin")
    '/models/embed.v1.bin'
    """
    return os.path.splitext(path)[0] + ending


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
        found=repr(redact(os.fspath(path))),
        advice="export to a local folder and copy it; only there is an export all or nothing",
    )
