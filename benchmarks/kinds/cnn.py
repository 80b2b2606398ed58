"""An image CNN: MobileNet's layers, batch norm, a variant for training."""

from __future__ import annotations

import functools
import math
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import hub_keras_bridge as hub
from benchmarks.kinds.kind import Kind, Twin

v1 = tf.compat.v1

_SIDE = 96
_STEM = 32
# Channels and stride of each block: a depthwise and a pointwise convolution.
_BLOCKS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1)),
)
_MEGABYTES = 12.4  # With the channels above.
_MOMENTUM, _EPSILON, _L2 = 0.99, 1e-3, 4e-5


def _channels(megabytes: float) -> tuple[int, list[tuple[int, int]]]:
    """Of the stem, and with stride of the blocks, so that weights have this size."""
    width = math.sqrt(megabytes / _MEGABYTES)
    scaled = [(max(8, round(channels * width)), stride) for channels, stride in _BLOCKS]
    return max(8, round(_STEM * width)), scaled


# --- the module ---


def _make_spec(megabytes: float, _: Path) -> hub.ModuleSpec:
    return hub.create_module_spec(
        functools.partial(_module_fn, megabytes),
        [(set(), {"training": False}), ({"train"}, {"training": True})],
    )


def _module_fn(megabytes: float, training: bool) -> None:
    v1.set_random_seed(1)
    stem, blocks = _channels(megabytes)
    images = v1.placeholder(tf.float32, [None, _SIDE, _SIDE, 3])
    x = _conv(images, "stem", 3, stem, 2, training)
    for number, (channels, stride) in enumerate(blocks):
        x = _depthwise(x, f"depthwise_{number}", stride, training)
        x = _conv(x, f"pointwise_{number}", 1, channels, 1, training)
    hub.add_signature(inputs=images, outputs=tf.reduce_mean(x, [1, 2]))


def _conv(
    x: tf.Tensor, name: str, size: int, channels: int, stride: int, training: bool
) -> tf.Tensor:
    with v1.variable_scope(name):
        kernel = v1.get_variable(
            "kernel", [size, size, x.shape[-1], channels], initializer=v1.initializers.he_normal(1)
        )
        v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, _L2 * tf.reduce_sum(kernel**2))
        return _normalized(tf.nn.conv2d(x, kernel, stride, "SAME"), training)


def _depthwise(x: tf.Tensor, name: str, stride: int, training: bool) -> tf.Tensor:
    with v1.variable_scope(name):
        # He's rule for nine inputs per output.
        start = v1.random_normal_initializer(stddev=math.sqrt(2 / 9), seed=1)
        kernel = v1.get_variable("kernel", [3, 3, x.shape[-1], 1], initializer=start)
        strides = [1, stride, stride, 1]
        return _normalized(tf.nn.depthwise_conv2d(x, kernel, strides, "SAME"), training)


def _normalized(x: tf.Tensor, training: bool) -> tf.Tensor:
    shape, zeros, ones = [x.shape[-1]], v1.zeros_initializer(), v1.ones_initializer()
    gamma = v1.get_variable("gamma", shape, initializer=ones)
    beta = v1.get_variable("beta", shape, initializer=zeros)
    moving = [
        v1.get_variable("moving_mean", shape, initializer=zeros, trainable=False),
        v1.get_variable("moving_variance", shape, initializer=ones, trainable=False),
    ]
    if training:
        y, *batch = v1.nn.fused_batch_norm(x, gamma, beta, epsilon=_EPSILON, is_training=True)
        for variable, value in zip(moving, batch, strict=True):
            update = v1.assign_sub(variable, (1 - _MOMENTUM) * (variable - value))
            v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, update)
    else:
        y, *_ = v1.nn.fused_batch_norm(x, gamma, beta, *moving, epsilon=_EPSILON, is_training=False)
    return tf.nn.relu6(y)


# --- the native twin ---


def _make_twin(megabytes: float, _: Path) -> Twin:
    stem, blocks = _channels(megabytes)
    convolution = functools.partial(
        keras.layers.Conv2D,
        padding="same",
        use_bias=False,
        kernel_regularizer=keras.regularizers.L2(_L2),
    )
    layers = {"stem": convolution(stem, 3, 2)}
    for number, (channels, stride) in enumerate(blocks):
        layers[f"depthwise_{number}"] = keras.layers.DepthwiseConv2D(
            3, stride, padding="same", use_bias=False
        )
        layers[f"pointwise_{number}"] = convolution(channels, 1)
    norms = {name: keras.layers.BatchNormalization(-1, _MOMENTUM, _EPSILON) for name in layers}
    stack = [
        each
        for name, layer in layers.items()
        for each in (layer, norms[name], keras.layers.ReLU(6.0))
    ]
    model = keras.Sequential(
        [keras.Input((_SIDE, _SIDE, 3)), *stack, keras.layers.GlobalAveragePooling2D()]
    )
    variables = {f"{name}/kernel": layer.kernel for name, layer in layers.items()}
    for name, norm in norms.items():
        for part in ("gamma", "beta", "moving_mean", "moving_variance"):
            variables[f"{name}/{part}"] = getattr(norm, part)
    return Twin(model, variables)


def _sample(count: int, seed: int) -> np.ndarray:
    """Images of pixels between 0 and 1."""
    return np.random.default_rng(seed).random((count, _SIDE, _SIDE, 3), np.float32)


KIND = Kind(
    name="cnn",
    title="image CNN",
    items="images",
    megabytes=_MEGABYTES,
    shape=(_SIDE, _SIDE, 3),
    dtype="float32",
    batch_size=32,
    learning_rate=1e-3,
    make_spec=_make_spec,
    sample=_sample,
    make_twin=_make_twin,
)
