"""Errors that are TensorFlow's, too: those that the original library let through from it.

Apart from errors.py, which needs no TensorFlow. Each has the name of the error
there that it is one of, since that is what a user looks up.
"""

from __future__ import annotations

from typing import Any, ClassVar

import tensorflow as tf

from hub_keras_bridge import errors


class _OfBoth:
    """Makes of a class of both families one that is made and shown as a HubError.

    Attributes:
        kind: the class of TensorFlow's that it is one of.
    """

    kind: ClassVar[type[tf.errors.OpError]] = tf.errors.NotFoundError

    def __init__(
        self, problem: str, subject: errors.Subject | None = None, **parts: str | None
    ) -> None:
        self.kind.__init__(self, None, None, problem)
        super().__init__(problem, subject, **parts)  # type: ignore[call-arg]  # HubError's

    @property
    def message(self) -> str:
        """What ``str`` gives, as of TensorFlow's errors."""
        return str(self)

    def __reduce__(self) -> Any:
        # OpError would take the arguments of its own constructor from attributes.
        return type(self), self.args, self.__dict__  # type: ignore[attr-defined]


class HandleError(_OfBoth, errors.HandleError, tf.errors.NotFoundError):
    """A path leads nowhere, and the original library opens a file below it."""


class UnknownOpError(_OfBoth, errors.UnknownOpError, tf.errors.NotFoundError):
    """An op is not registered; TensorFlow's importer has no other error for that."""


class CheckpointError(_OfBoth, errors.CheckpointError, tf.errors.NotFoundError):
    """A module has no checkpoint at all."""


class FormatError(_OfBoth, errors.FormatError, tf.errors.NotFoundError):
    """A folder lacks a file that makes it a module, which the original library opens."""


class UninitializedError(_OfBoth, errors.ExportError, tf.errors.FailedPreconditionError):
    """What is to be exported has no values in the session."""

    kind = tf.errors.FailedPreconditionError


class ExportError(_OfBoth, errors.ExportError, tf.errors.AlreadyExistsError):
    """A target is taken; the original library finds a file there that it is to make."""

    kind = tf.errors.AlreadyExistsError
