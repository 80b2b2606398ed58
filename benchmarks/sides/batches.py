"""Batches for ``predict`` and ``fit``, alike for all sides."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def batches_of(arrays: Any) -> tf.data.Dataset:
    """Arrays, or a structure of them, whose first axis counts batches.

    Without autotuning: the thread that tunes is waited for when an iterator
    ends, and sleeps 10, 20, 40, ... ms between its rounds, which would put
    every figure on such a step.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return tf.data.Dataset.from_tensor_slices(arrays).with_options(options)
