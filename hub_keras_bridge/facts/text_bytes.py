"""Text as numbers, for frameworks that have no strings: each text in a row of bytes.

A row is the text, in UTF-8, then a byte 1, then zeros. So rows are of one length, texts may
have any bytes in them, and each row tells where its text ends.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from hub_keras_bridge.errors import InputError

# The dtype of such rows.
TEXT_BYTES = tf.uint8

_END = b"\x01"
_BYTES = [bytes([value]) for value in range(256)]


def text_to_bytes(text: Any, length: int | None = None) -> Any:
    """Text as numbers, which a :class:`ModuleLayer` takes in place of it.

    Keras on JAX or PyTorch has no strings, so that text cannot go through ``fit`` or
    ``predict`` there. These numbers can. They can be taken apart, shuffled and batched as any
    array, and a model of them runs on TensorFlow, too.

    Example:

    >>> import hub_keras_bridge as hub
    >>> hub.text_to_bytes(["no", "yes"]).tolist()
    [[110, 111, 1, 0], [121, 101, 115, 1]]

    Args:
        text: strings or bytes: one, a list, an array or a tensor of TensorFlow, such as
            ``tf.data`` maps over.
        length: of a row; one more than the longest text has bytes, if None. Batches of
            one length are one shape, for which JAX compiles once.

    Returns:
        uint8, with one dimension more than the text has; of a tensor a tensor, else an array.

    Raises:
        InputError: it is no text, or longer. Of a tensor that has no value yet, running it
            raises ``tf.errors.InvalidArgumentError``.
    """
    if tf.is_tensor(text):
        return _of_tensor(text, length)
    # NumPy's own text ends before zeros, and takes numbers for text.
    array = text if isinstance(text, np.ndarray) else np.array(text, object)
    if not all(isinstance(each, str | bytes) for each in array.flat):
        raise InputError(
            "Cannot turn values into the bytes of a text.",
            expected="strings or bytes",
            found=f"{type(text).__name__} of {', '.join(sorted(_kinds(array)))}",
            advice="pass a list of strings, or an array or a tensor of them",
        )
    rows = [(e.encode() if isinstance(e, str) else bytes(e)) + _END for e in array.flat]
    longest = max(map(len, rows), default=1)
    if length is not None and longest > length:
        raise InputError(
            "Cannot turn a text into bytes: it is longer than its row.",
            expected=f"at most {length - 1} bytes, in rows of {length}",
            found=f"a text of {longest - 1} bytes",
            advice="pass a larger length, or cut the text",
        )
    width = longest if length is None else length
    joined = b"".join(row.ljust(width, b"\0") for row in rows)
    return np.frombuffer(joined, np.uint8).reshape(*array.shape, width).copy()


def _kinds(array: np.ndarray) -> set[str]:
    return {type(each).__name__ for each in array.flat}


def _of_tensor(text: tf.Tensor, length: int | None) -> tf.Tensor:
    if text.dtype != tf.string:
        raise InputError(
            "Cannot turn values into the bytes of a text.",
            expected="a tensor of strings",
            found=f"a tensor of {text.dtype.name}",
            advice="pass a list of strings, or an array or a tensor of them",
        )
    ended = tf.strings.join([text, _END])
    longest = tf.reduce_max(tf.concat([[1], tf.reshape(tf.strings.length(ended), [-1])], 0))
    if length is None:
        return tf.io.decode_raw(ended, tf.uint8, fixed_length=longest)
    problem = f"Cannot turn a text into bytes: it is longer than its row of {length}."
    with tf.control_dependencies([tf.debugging.assert_less_equal(longest, length, problem)]):
        rows = tf.io.decode_raw(ended, tf.uint8, fixed_length=length)
    return tf.ensure_shape(rows, text.shape.concatenate([length]))


def holds_text(dtype: tf.DType) -> bool:
    """Whether numbers of a dtype may be what :func:`text_to_bytes` made."""
    return dtype == TEXT_BYTES


def bytes_to_text(rows: tf.Tensor) -> tf.Tensor:
    """The strings that :func:`text_to_bytes` made bytes of; a row of zeros is an empty one.

    >>> bytes_to_text(tf.constant([[110, 111, 1, 0]], tf.uint8)).numpy().tolist()
    [b'no']

    Args:
        rows: uint8, of one dimension or more.
    """
    shape = tf.shape(rows)
    flat = tf.reshape(rows, [tf.reduce_prod(shape[:-1]), shape[-1]])
    used = tf.cast(flat != 0, tf.int32) * (1 + tf.range(shape[-1]))
    lengths = tf.maximum(tf.reduce_max(used, -1), 1) - 1
    joined = tf.strings.reduce_join(tf.gather(_BYTES, tf.cast(flat, tf.int32)), -1)
    text = tf.strings.substr(joined, tf.zeros_like(lengths), lengths)
    return tf.ensure_shape(tf.reshape(text, shape[:-1]), rows.shape[:-1])
