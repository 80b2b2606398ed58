"""A file below ``assets/``: there, and the folder's own."""

from __future__ import annotations

import os
import pathlib

from hub_keras_bridge.errors import FormatError, Subject
from hub_keras_bridge.files.layout import ASSETS_FOLDER
from hub_keras_bridge.files.messages import instead_of_file
from hub_keras_bridge.files.paths import is_file


def own_file(path: str, name: str, subject: Subject) -> str:
    """The file below ``assets/`` that has a name which is known to lead nowhere else.

    Args:
        path: the folder that ``assets/`` is in.
        name: the file's path from there on.
        subject: for messages, what has the asset.

    Raises:
        FormatError: it is missing, or a link that leads outside.
    """
    file = os.path.join(path, ASSETS_FOLDER, *name.split("/"))
    if not is_file(file):
        raise FormatError(
            f"Cannot read a {subject.kind}: its asset {name!r} is missing.",
            subject,
            expected=f"a file {file}",
            found=instead_of_file(file),
            advice="fetch the module again; the copy is incomplete",
        )
    if not _is_within(file, path):
        raise FormatError(
            f"Refused a {subject.kind}: its asset {name!r} is a link that leads outside.",
            subject,
            expected=f"a file inside {path}",
            found=os.path.realpath(file),
            advice="put a copy of the file in its place, if you trust who made the link",
        )
    return file


def _is_within(file: str, folder: str) -> bool:
    """Whether a file's content lies in a folder, links followed."""
    if "://" in folder:
        return True  # No links on the file systems that TensorFlow adds.
    parts = pathlib.Path(os.path.realpath(file)).parts
    inside = pathlib.Path(os.path.realpath(folder)).parts
    return parts[: len(inside)] == inside
