"""Fine-tuning twice: the same bits, or, with another seed, others."""

from __future__ import annotations

import hashlib
import tempfile
from typing import Any

import keras
import tensorflow as tf

import hub_keras_bridge as hub
from stress.reliability import endurance
from stress.reliability.children import in_process


def run() -> dict[str, Any]:
    """How many different results there are of runs with one seed, and with another."""
    with tempfile.TemporaryDirectory() as folder:
        path = endurance.publish(f"{folder}/module")
        seeds = [7, 7, 8]
        # The same seeds in two processes, each after other work of its own.
        told = [
            in_process("determinism", "fine_tune", path, order) for order in (seeds, seeds[::-1])
        ]
    digests: dict[int, set[str]] = {seed: set() for seed in seeds}
    for order, results in zip((seeds, seeds[::-1]), told, strict=True):
        for seed, digest in zip(order, results, strict=True):
            digests[seed].add(digest)
    return {
        "runs": sum(map(len, told)),
        "seeds": len(digests),
        "different results": len(set().union(*digests.values())),
    }


def fine_tune(path: str, seeds: list[int]) -> list[str]:
    """Trains a classifier over the module once per seed; digests of losses and weights."""
    tf.config.experimental.enable_op_determinism()
    return [_digest(path, seed) for seed in seeds]


def _digest(path: str, seed: int) -> str:
    keras.utils.set_random_seed(seed)
    layer = hub.ModuleLayer(path, trainable=True)
    model = keras.Sequential([layer, keras.layers.Dense(3, activation="softmax")])
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    labels = tf.range(32) % 3
    history = model.fit(endurance.batch(32, 6), labels, epochs=5, batch_size=8, verbose=0)
    told = hashlib.sha256(repr(history.history["loss"]).encode())
    for weight in model.get_weights():
        told.update(weight.tobytes())
    return told.hexdigest()
