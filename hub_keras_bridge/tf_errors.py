"""Errors that are TensorFlow's, too: those that the original library let through from it.

Apart from errors.py, which needs no TensorFlow. Each has the name of the error
there that it is one of, since that is what a user looks up.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from hub_keras_bridge import errors


class _NotFound:
    """Makes of a class of both families one that is made and shown as a HubError."""

    def __init__(
        self, problem: str, subject: errors.Subject | None = None, **parts: str | None
    ) -> None:
        tf.errors.NotFoundError.__init__(self, None, None, problem)
        super().__init__(problem, subject, **parts)  # type: ignore[call-arg]  # HubError's

    @property
    def message(self) -> str:
        """What ``str`` gives, as of TensorFlow's errors."""
        return str(self)

    def __reduce__(self) -> Any:
        # OpError would take the arguments of its own constructor from attributes.
        return type(self), self.args, self.__dict__  # type: ignore[attr-defined]


class UnknownOpError(_NotFound, errors.UnknownOpError, tf.errors.NotFoundError):
    """An op is not registered; TensorFlow's importer has no other error for that."""


class CheckpointError(_NotFound, errors.CheckpointError, tf.errors.NotFoundError):
    """A module has no checkpoint at all."""


class FormatError(_NotFound, errors.FormatError, tf.errors.NotFoundError):
    """A folder has no module file, which the original library tries to open."""
