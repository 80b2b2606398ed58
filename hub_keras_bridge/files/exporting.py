"""Exports: the whole of one or nothing, and told as an export where it fails."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from hub_keras_bridge.compat import tf_errors
from hub_keras_bridge.errors import ExportError, HubError, Subject
from hub_keras_bridge.files import durable
from hub_keras_bridge.files.targets import local_target, other_ending, require_free_target
from hub_keras_bridge.files.writing import whole

# Of a session that gives values, for who runs it to handle; they say nothing of the disk.
_OF_SESSIONS = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.UnavailableError,
)


@contextmanager
def new_directory(path: str, subject: Subject) -> Iterator[str]:
    """A folder beside ``path`` that becomes ``path`` when the block succeeds.

    What killed processes left beside ``path`` is removed first.

    Raises:
        ExportError: ``path`` is taken, or something in the block failed on
            disk; the temporary folder is gone then.
    """
    path = os.path.abspath(local_target(path, subject))
    with _new(path, subject, "Cannot write a TF1 Hub module.") as folder:
        os.mkdir(folder)
        yield folder


@contextmanager
def new_file(path: str | os.PathLike[str], subject: Subject, problem: str) -> Iterator[str]:
    """As :func:`new_directory`, a file to be made, of the same name.

    Args:
        path: where the file comes to be.
        subject: the module, for messages.
        problem: what an error on disk says first.

    Raises:
        ExportError: ``path`` is taken, or something in the block failed on disk.
    """
    with _new(os.path.abspath(os.fspath(path)), subject, problem) as file:
        yield file


@contextmanager
def new_pair(
    path: str | os.PathLike[str], ending: str, subject: Subject, problem: str
) -> Iterator[str]:
    """As :func:`new_file`, with another file beside it, of the same name but for the ending.

    Both come to be, or neither. The other one is there first, so that what finds the
    file finds both.

    Args:
        path: where the file comes to be.
        ending: of the other one.
        subject: the module, for messages.
        problem: what an error on disk says first.

    Raises:
        ExportError: one of them is there already, or something in the block failed on disk.
    """
    path = os.path.abspath(os.fspath(path))
    beside = other_ending(path, ending)
    placed = False
    try:
        with _new(path, subject, problem) as file:
            with _new(beside, subject, problem) as other:
                yield file
                durable.rename(other_ending(file, ending), other)
            placed = True
    except BaseException:
        if placed:
            os.remove(beside)
        raise


@contextmanager
def _new(path: str, subject: Subject, problem: str) -> Iterator[str]:
    def require_free() -> None:
        require_free_target(path, subject, tf_errors.ExportError)

    with (
        telling_of_export(path, subject, problem),
        whole(path, require_free=require_free, parents=True) as made,
    ):
        yield made


@contextmanager
def telling_of_export(path: str, subject: Subject, problem: str) -> Iterator[None]:
    """Says of an error on disk, TensorFlow's included, what it hindered."""
    try:
        yield
    except _OF_SESSIONS:
        raise
    except (OSError, tf.errors.OpError) as error:
        if isinstance(error, HubError):
            raise
        raise ExportError(
            problem,
            subject,
            expected=f"to write {path}",
            found=str(error),
            advice="check permissions and free space; nothing was left behind",
        ) from error
