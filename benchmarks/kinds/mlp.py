"""Three dense layers: small, so that what is around the graph weighs as much as the graph."""

from __future__ import annotations

import itertools
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import hub_keras_bridge as hub
from benchmarks.kinds.kind import Kind, Twin

v1 = tf.compat.v1

_FEATURES = 784
_WIDTHS = {"first": 512, "second": 512, "third": 128}
_SIZES = [_FEATURES, *_WIDTHS.values()]
_MEGABYTES = 4 * sum((a + 1) * b for a, b in itertools.pairwise(_SIZES)) / 2**20


def _make_spec(_: float, __: Path) -> hub.ModuleSpec:
    return hub.create_module_spec(_module_fn)


def _module_fn() -> None:
    v1.set_random_seed(1)
    inputs = x = v1.placeholder(tf.float32, [None, _FEATURES])
    for name, width in _WIDTHS.items():
        with v1.variable_scope(name):
            kernel = v1.get_variable(
                "kernel", [x.shape[-1], width], initializer=v1.initializers.he_normal(1)
            )
            bias = v1.get_variable("bias", [width], initializer=v1.zeros_initializer())
        x = tf.nn.relu(x @ kernel + bias)
    hub.add_signature(inputs=inputs, outputs=x)


def _make_twin(_: float, __: Path) -> Twin:
    layers = {name: keras.layers.Dense(width, "relu") for name, width in _WIDTHS.items()}
    model = keras.Sequential([keras.Input((_FEATURES,)), *layers.values()])
    variables = {}
    for name, layer in layers.items():
        variables |= {f"{name}/kernel": layer.kernel, f"{name}/bias": layer.bias}
    return Twin(model, variables)


def _sample(count: int, seed: int) -> np.ndarray:
    """Features between 0 and 1."""
    return np.random.default_rng(seed).random((count, _FEATURES), np.float32)


KIND = Kind(
    name="mlp",
    title="MLP",
    items="rows",
    megabytes=_MEGABYTES,
    shape=(_FEATURES,),
    dtype="float32",
    batch_size=64,
    learning_rate=1e-2,
    make_spec=_make_spec,
    sample=_sample,
    make_twin=_make_twin,
)
