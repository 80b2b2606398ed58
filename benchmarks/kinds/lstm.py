"""An LSTM whose steps are a while loop of TensorFlow 1."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import hub_keras_bridge as hub
from benchmarks.kinds.kind import Kind, Twin

v1 = tf.compat.v1

_STEPS, _FEATURES, _UNITS = 32, 64, 128
_MEGABYTES = 4 * (_FEATURES + _UNITS + 1) * 4 * _UNITS / 2**20


# --- the module ---


def _make_spec(_: float, __: Path) -> hub.ModuleSpec:
    with _v1_control_flow():
        return hub.create_module_spec(_module_fn)


@contextmanager
def _v1_control_flow() -> Iterator[None]:
    """Within, ``tf.while_loop`` makes the ops that a module of 2018 has."""
    v1.disable_control_flow_v2()
    try:
        yield
    finally:
        v1.enable_control_flow_v2()


def _module_fn() -> None:
    v1.set_random_seed(1)
    sequences = v1.placeholder(tf.float32, [None, _STEPS, _FEATURES])
    start = v1.glorot_uniform_initializer(1)
    kernel = v1.get_variable("kernel", [_FEATURES, 4 * _UNITS], initializer=start)
    recurrent = v1.get_variable("recurrent", [_UNITS, 4 * _UNITS], initializer=start)
    bias = v1.get_variable("bias", [4 * _UNITS], initializer=v1.zeros_initializer())
    steps = tf.TensorArray(tf.float32, _STEPS, element_shape=[None, _FEATURES])
    steps = steps.unstack(tf.transpose(sequences, [1, 0, 2]))
    zeros = tf.zeros([tf.shape(sequences)[0], _UNITS])

    def step(time: tf.Tensor, cell: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, ...]:
        gates = steps.read(time) @ kernel + state @ recurrent + bias
        admit, forget, candidate, emit = tf.split(gates, 4, 1)
        cell = tf.sigmoid(forget) * cell + tf.sigmoid(admit) * tf.tanh(candidate)
        return time + 1, cell, tf.sigmoid(emit) * tf.tanh(cell)

    *_, state = tf.while_loop(lambda time, *_: time < _STEPS, step, (0, zeros, zeros))
    state.set_shape([None, _UNITS])
    hub.add_signature(inputs=sequences, outputs=state)


# --- the native twin ---


def _make_twin(_: float, __: Path) -> Twin:
    layer = keras.layers.LSTM(_UNITS)
    model = keras.Sequential([keras.Input((_STEPS, _FEATURES)), layer])
    names = ("kernel", "recurrent", "bias")
    return Twin(model, dict(zip(names, layer.weights, strict=True)))


def _sample(count: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.standard_normal((count, _STEPS, _FEATURES), np.float32)


KIND = Kind(
    name="lstm",
    title="LSTM",
    items="sequences",
    megabytes=_MEGABYTES,
    shape=(_STEPS, _FEATURES),
    dtype="float32",
    batch_size=32,
    learning_rate=1e-1,
    make_spec=_make_spec,
    sample=_sample,
    make_twin=_make_twin,
)
