"""Between TensorFlow and a graph that may be damaged, or made to do harm.

TensorFlow says of most such graphs what is wrong, in errors of many types; here
they become errors of the family. Of some it says nothing: it would never come
back, or end the process. Those are found before they reach it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf
from google.protobuf.message import DecodeError

from hub_keras_bridge.errors import FormatError, HubError, Subject

# What TensorFlow raises about a graph; not what Keras and tf.distribute raise
# to leave a trace, which are no errors of the graph's.
_TOLD = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    DecodeError,
    LookupError,
    MemoryError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
    tf.errors.OpError,
)


@contextmanager
def refusing(
    subject: Subject,
    problem: str = "Cannot import the graph of a TF1 Hub module.",
    expected: str = "a graph that this TensorFlow accepts",
) -> Iterator[None]:
    """Makes of what TensorFlow raises in the block an error of the family.

    An error of the family that does not say of what module it speaks is told.

    Args:
        subject: whose graph.
        problem: what the block does.
        expected: what would have been right.

    Raises:
        FormatError: TensorFlow raised something.
    """
    try:
        yield
    except HubError as error:
        if error.subject.module is None:
            error.subject = subject
        raise
    except _TOLD as error:
        raise FormatError(
            problem,
            subject,
            expected=expected,
            found=f"{type(error).__name__}: {error}",
            advice="fetch the module again; if it is intact, report this message",
        ) from error
