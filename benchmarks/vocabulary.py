"""Vocabularies of the modules that are measured: a word on each line of a file."""

from __future__ import annotations

import tensorflow as tf


def line_numbers(path: str) -> tf.lookup.TextFileInitializer:
    """What fills a table: word -> number of its line, from 0."""
    index = tf.lookup.TextFileIndex
    return tf.lookup.TextFileInitializer(
        path, tf.string, index.WHOLE_LINE, tf.int64, index.LINE_NUMBER
    )
