"""TensorFlow's start: it takes seconds, so it comes after what can be told without it."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


def start_tensorflow() -> None:
    """Imports TensorFlow and Keras and lets them look for devices, without their words on it."""
    with without_startup_messages():
        # Keras first: it imports TensorFlow as its backend.
        import keras  # noqa: F401
        import tensorflow as tf

        tf.config.list_physical_devices()


@contextmanager
def without_startup_messages() -> Iterator[None]:
    """Keeps what TensorFlow's native code says when it starts off the terminal.

    Of a start that fails it is shown. TF_CPP_MIN_LOG_LEVEL, where it is set, decides
    instead, though TensorFlow 2.21 says some things at any level.
    """
    stderr = sys.__stderr__.fileno() if sys.__stderr__ else -1
    if stderr < 0 or os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") < "2":
        yield
        return
    terminal = os.dup(stderr)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), stderr)
        try:
            yield
        except Exception:
            said.seek(0)
            os.write(terminal, said.read())
            raise
        finally:
            os.dup2(terminal, stderr)
            os.close(terminal)
