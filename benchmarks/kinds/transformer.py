"""A transformer encoder: token ids in, the mean of the last layer out."""

from __future__ import annotations

import math
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import hub_keras_bridge as hub
from benchmarks.kinds.kind import Kind, Twin

v1 = tf.compat.v1

_TOKENS, _STEPS, _WIDTH, _HEADS, _INNER, _LAYERS = 8000, 64, 256, 4, 1024, 4
_DEPTH = _WIDTH // _HEADS
_EPSILON = 1e-6
_PARAMETERS_PER_LAYER = 4 * _WIDTH * (_WIDTH + 1) + 2 * _WIDTH * _INNER + _INNER + 5 * _WIDTH
_MEGABYTES = 4 * ((_TOKENS + _STEPS) * _WIDTH + _LAYERS * _PARAMETERS_PER_LAYER) / 2**20


# --- the module ---


def _make_spec(_: float, __: Path) -> hub.ModuleSpec:
    return hub.create_module_spec(_module_fn)


def _module_fn() -> None:
    v1.set_random_seed(1)
    ids = v1.placeholder(tf.int32, [None, _STEPS])
    used = tf.cast(tf.not_equal(ids, 0), tf.float32)
    x = tf.gather(_weight("tokens", [_TOKENS, _WIDTH]), ids) + _weight(
        "positions", [_STEPS, _WIDTH]
    )
    hidden = -1e9 * (1 - used[:, tf.newaxis, tf.newaxis, :])
    for number in range(_LAYERS):
        with v1.variable_scope(f"layer_{number}"):
            x = _layer_norm(x + _attention(x, hidden), "norm_1")
            inner = tf.nn.gelu(_dense(x, "inner", "btw,wi->bti", [_WIDTH, _INNER], [_INNER]))
            outer = _dense(inner, "outer", "bti,iw->btw", [_INNER, _WIDTH], [_WIDTH])
            x = _layer_norm(x + outer, "norm_2")
    weights = used[:, :, tf.newaxis]
    mean = tf.reduce_sum(x * weights, 1) / tf.reduce_sum(weights, 1)
    hub.add_signature(inputs=ids, outputs=mean)


def _attention(x: tf.Tensor, hidden: tf.Tensor) -> tf.Tensor:
    query, key, value = (
        _dense(x, name, "btw,whd->bthd", [_WIDTH, _HEADS, _DEPTH], [_HEADS, _DEPTH])
        for name in ("query", "key", "value")
    )
    scores = tf.einsum("bqhd,bkhd->bhqk", query / math.sqrt(_DEPTH), key)
    mixed = tf.einsum("bhqk,bkhd->bqhd", tf.nn.softmax(scores + hidden), value)
    return _dense(mixed, "mixed", "bthd,hdw->btw", [_HEADS, _DEPTH, _WIDTH], [_WIDTH])


def _dense(x: tf.Tensor, name: str, equation: str, kernel: list[int], bias: list[int]) -> tf.Tensor:
    with v1.variable_scope(name):
        product = tf.einsum(equation, x, _weight("kernel", kernel))
        return product + v1.get_variable("bias", bias, initializer=v1.zeros_initializer())


def _layer_norm(x: tf.Tensor, name: str) -> tf.Tensor:
    with v1.variable_scope(name):
        gamma = v1.get_variable("gamma", [_WIDTH], initializer=v1.ones_initializer())
        beta = v1.get_variable("beta", [_WIDTH], initializer=v1.zeros_initializer())
        mean, variance = v1.nn.moments(x, [-1], keepdims=True)
        return tf.nn.batch_normalization(x, mean, variance, beta, gamma, _EPSILON)


def _weight(name: str, shape: list[int]) -> tf.Variable:
    start = v1.truncated_normal_initializer(stddev=0.05, seed=1)
    return v1.get_variable(name, shape, initializer=start)


# --- the native twin ---


class Positions(keras.layers.Layer):
    """Adds a learned vector per position."""

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Makes the vectors for inputs of shape [batch, steps, width]."""
        self.vectors = self.add_weight(shape=shape[1:], name="vectors")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Adds to [batch, steps, width]."""
        return x + self.vectors


def _make_twin(_: float, __: Path) -> Twin:
    ids = keras.Input((_STEPS,), dtype="int32")
    used = keras.ops.not_equal(ids, 0)
    tokens = keras.layers.Embedding(_TOKENS, _WIDTH)
    positions = Positions()
    x = positions(tokens(ids))
    variables = {"tokens": tokens.embeddings, "positions": positions.vectors}
    for number in range(_LAYERS):
        attention = keras.layers.MultiHeadAttention(_HEADS, _DEPTH)
        norms = [keras.layers.LayerNormalization(epsilon=_EPSILON) for _ in range(2)]
        inner = keras.layers.Dense(_INNER, activation=_gelu)
        outer = keras.layers.Dense(_WIDTH)
        x = norms[0](x + attention(x, x, attention_mask=used[:, None, :]))
        x = norms[1](x + outer(inner(x)))
        scope = f"layer_{number}"
        names = ("query", "key", "value", "mixed")
        kernels_and_biases = zip(attention.weights[::2], attention.weights[1::2], strict=True)
        for name, (kernel, bias) in zip(names, kernels_and_biases, strict=True):
            variables |= {f"{scope}/{name}/kernel": kernel, f"{scope}/{name}/bias": bias}
        for name, dense in (("inner", inner), ("outer", outer)):
            variables |= {
                f"{scope}/{name}/kernel": dense.kernel,
                f"{scope}/{name}/bias": dense.bias,
            }
        for name, norm in zip(("norm_1", "norm_2"), norms, strict=True):
            variables |= {f"{scope}/{name}/gamma": norm.gamma, f"{scope}/{name}/beta": norm.beta}
    weights = keras.ops.cast(used, "float32")[:, :, None]
    mean = keras.ops.sum(x * weights, 1) / keras.ops.sum(weights, 1)
    return Twin(keras.Model(ids, mean), variables)


def _gelu(x: tf.Tensor) -> tf.Tensor:
    return keras.activations.gelu(x, approximate=False)


def _sample(count: int, seed: int) -> np.ndarray:
    """Token ids; a sentence has at least half of the steps, the rest are zeros."""
    random = np.random.default_rng(seed)
    ids = random.integers(1, _TOKENS, (count, _STEPS), np.int32)
    lengths = random.integers(_STEPS // 2, _STEPS + 1, (count, 1))
    return np.where(np.arange(_STEPS) < lengths, ids, 0).astype(np.int32)


KIND = Kind(
    name="transformer",
    title="transformer",
    items="sentences",
    megabytes=_MEGABYTES,
    shape=(_STEPS,),
    dtype="int32",
    batch_size=16,
    learning_rate=1e-2,
    make_spec=_make_spec,
    sample=_sample,
    make_twin=_make_twin,
)
