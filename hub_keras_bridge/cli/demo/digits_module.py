"""The demo's module, in TF1 code: a small convolutional network for images of digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.publishing.module_fn import add_signature, create_module_spec

IMAGE_SHAPE = (8, 8, 1)

_BLOCKS = ((16, 1), (32, 2), (64, 1))  # (channels, stride)
_L2_SCALE = 1e-4
_DROPOUT_RATE = 0.25
_MOVING_AVERAGE_DECAY = 0.9
_EPSILON = 1e-3


def digits_module_fn(is_training: bool) -> None:
    """Defines one variant of the module: three convolutions and an average.

    Args:
        is_training: whether batch norm looks at the batch and dropout drops.
    """
    images = tf.compat.v1.placeholder(tf.float32, [None, *IMAGE_SHAPE], "images")
    block = images
    for number, (channels, stride) in enumerate(_BLOCKS, start=1):
        with tf.compat.v1.variable_scope(f"block{number}"):
            block = _convolution(block, channels, stride, seed=number)
            block = tf.nn.relu(_batch_norm(block, is_training))
    features = tf.reduce_mean(block, axis=[1, 2])
    if is_training:
        features = tf.nn.dropout(features, rate=_DROPOUT_RATE, seed=len(_BLOCKS) + 1)
    add_signature(inputs={"images": images}, outputs=features)
    add_signature(
        "image_feature_vector",
        inputs={"images": images},
        outputs={"default": features, "block": block},
    )


def digits_spec() -> ModuleSpec:
    """The module with its initial values, for inference and for training."""
    return create_module_spec(
        digits_module_fn,
        tags_and_args=[(set(), {"is_training": False}), ({"train"}, {"is_training": True})],
    )


def _convolution(images: tf.Tensor, channels: int, stride: int, seed: int) -> tf.Tensor:
    kernel = tf.compat.v1.get_variable(
        "kernel",
        [3, 3, images.shape[-1], channels],
        initializer=tf.compat.v1.variance_scaling_initializer(scale=2.0, seed=seed),
    )
    tf.compat.v1.add_to_collection(
        tf.compat.v1.GraphKeys.REGULARIZATION_LOSSES, _L2_SCALE * tf.nn.l2_loss(kernel)
    )
    return tf.nn.conv2d(images, kernel, strides=stride, padding="SAME")


def _batch_norm(values: tf.Tensor, is_training: bool) -> tf.Tensor:
    def variable(name: str, start: Callable[[], Any], trainable: bool) -> tf.Variable:
        return tf.compat.v1.get_variable(
            name, [values.shape[-1]], initializer=start(), trainable=trainable
        )

    beta = variable("beta", tf.compat.v1.zeros_initializer, trainable=True)
    gamma = variable("gamma", tf.compat.v1.ones_initializer, trainable=True)
    moving_mean = variable("moving_mean", tf.compat.v1.zeros_initializer, trainable=False)
    moving_variance = variable("moving_variance", tf.compat.v1.ones_initializer, trainable=False)
    if not is_training:
        mean, variance = moving_mean, moving_variance
    else:
        mean, variance = tf.nn.moments(values, axes=[0, 1, 2])
        for average, current in ((moving_mean, mean), (moving_variance, variance)):
            step = (1.0 - _MOVING_AVERAGE_DECAY) * (average - current)
            tf.compat.v1.add_to_collection(
                tf.compat.v1.GraphKeys.UPDATE_OPS, tf.compat.v1.assign_sub(average, step)
            )
    return tf.nn.batch_normalization(values, mean, variance, beta, gamma, _EPSILON)
