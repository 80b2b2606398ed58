"""A protobuf message that is a file of its own."""

from __future__ import annotations

import os
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError

from hub_keras_bridge.errors import FormatError, Subject
from hub_keras_bridge.files.paths import is_file


def read_message(
    file: str,
    message_class: Any,
    subject: Subject,
    *,
    of: str = "TF1 Hub module",
    advice: str = "fetch the module again",
) -> Any:
    """Reads a file that is one message.

    Args:
        file: its path, on any file system that TensorFlow knows.
        message_class: the message's class.
        subject: for messages to people.
        of: what the file is a part of.
        advice: what to do about a file that is damaged.

    Raises:
        FormatError: it is missing or damaged.
    """
    name = os.path.basename(file)
    if not is_file(file):
        raise FormatError(
            f"Cannot read a {of}: {name} is missing.",
            subject,
            expected=f"a file {file}",
            found=instead_of_file(file),
            advice="fetch the module again; the copy is incomplete",
        )
    try:
        with tf.io.gfile.GFile(file, "rb") as stream:
            return message_class.FromString(stream.read())
    except (DecodeError, tf.errors.OpError) as error:
        raise FormatError(
            f"Cannot read a {of}: {name} is damaged.",
            subject,
            expected=f"a serialized {message_class.DESCRIPTOR.name} message",
            found=str(error),
            advice=advice,
        ) from error


def instead_of_file(path: str) -> str:
    """What is where a file should be."""
    return "something that is no regular file" if tf.io.gfile.exists(path) else "no such file"
