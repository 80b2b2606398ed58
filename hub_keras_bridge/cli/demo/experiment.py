"""The demo's experiment: a module of digits 0 to 4, transferred to digits 5 to 9.

A small convolutional module is published as TF1 code would, trained on digits 0
to 4 and exported. Loaded back, it serves digits 5 to 9 twice on few examples:
frozen, and fine-tuned. Nothing here prints or plots.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.files.unfinished import whole
from hub_keras_bridge.frontends.keras3.module_layer import ModuleLayer
from hub_keras_bridge.publishing.authoring import add_signature, create_module_spec

CLASSES = 5
IMAGE_SHAPE = (8, 8, 1)


@dataclass(frozen=True)
class Settings:
    """What the experiment depends on.

    Each way of transfer has the learning rate that was best for it, between
    0.001 and 0.3, on the seeds 100 to 104. The demo runs seeds from 0 on.

    Attributes:
        seeds: how often the transfer is repeated, with seeds 0, 1, ...
        publish_epochs: passes over digits 0 to 4 before the module is exported.
        examples: training examples of each of the digits 5 to 9.
        transfer_epochs: passes over them, frozen and fine-tuned alike.
        frozen_rate: learning rate of the head on the frozen module.
        tuned_rate: learning rate of head and module together.
    """

    seeds: int = 5
    publish_epochs: int = 15
    publish_rate: float = 3e-3
    examples: int = 5
    transfer_epochs: int = 30
    frozen_rate: float = 3e-2
    tuned_rate: float = 1e-2

    @property
    def total_epochs(self) -> int:
        """All passes over training data, of all models."""
        return self.publish_epochs + 2 * self.seeds * self.transfer_epochs


class Progress(Protocol):
    """Who is told how far the experiment is."""

    def stage(self, text: str) -> None:
        """A model's training begins."""

    def epoch(self) -> None:
        """A pass over training data is done."""


@dataclass(frozen=True)
class Examples:
    """Images in [0, 1] with their classes, counted from 0."""

    images: np.ndarray
    labels: np.ndarray

    def __getitem__(self, chosen: Any) -> Examples:
        return Examples(self.images[chosen], self.labels[chosen])

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Transfer:
    """One model for digits 5 to 9, and how it came about.

    Attributes:
        model: the trained model.
        curve: test accuracy after each epoch.
        test: the examples it was tested on.
    """

    model: keras.Model
    curve: np.ndarray
    test: Examples


@dataclass(frozen=True)
class Comparison:
    """Both ways of transfer, seed by seed.

    Attributes:
        frozen: models whose head alone was trained.
        tuned: models whose module was trained too.
    """

    frozen: Sequence[Transfer]
    tuned: Sequence[Transfer]


# --- the module, in TF1 code ---

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


# --- the data ---


def digits(first: int) -> Examples:
    """All examples of five digits, the first of which becomes class 0."""
    bunch = load_digits()
    chosen = (bunch.target >= first) & (bunch.target < first + CLASSES)
    images = (bunch.images[chosen] / 16.0).astype(np.float32)[..., np.newaxis]
    return Examples(images, bunch.target[chosen] - first)


def few_and_rest(data: Examples, per_class: int, seed: int) -> tuple[Examples, Examples]:
    """Draws some examples of each class to train on; the rest is for the test."""
    draw = np.random.default_rng(seed)
    few = np.concatenate(
        [
            draw.choice(np.flatnonzero(data.labels == label), per_class, replace=False)
            for label in range(CLASSES)
        ]
    )
    rest = np.setdiff1d(np.arange(len(data)), few)
    return data[few], data[rest]


# --- the experiment ---


def publish(path: str | os.PathLike[str], settings: Settings, progress: Progress) -> None:
    """Trains the module on digits 0 to 4 and writes it to ``path``."""
    progress.stage("Training the module on digits 0 to 4")
    keras.utils.set_random_seed(0)
    layer = ModuleLayer(digits_spec(), trainable=True)
    data = digits(0)
    _classifier(layer, settings.publish_rate).fit(
        data.images,
        data.labels,
        epochs=settings.publish_epochs,
        verbose=0,
        callbacks=[_tell(progress)],
    )
    layer.export_module(path)


def compare(path: str | os.PathLike[str], settings: Settings, progress: Progress) -> Comparison:
    """Transfers the module in ``path`` to digits 5 to 9, both ways, for each seed."""
    found: dict[bool, list[Transfer]] = {False: [], True: []}
    for seed in range(settings.seeds):
        for trainable, done in found.items():
            way = "fine-tuned" if trainable else "frozen"
            progress.stage(f"Transferring to digits 5 to 9: seed {seed}, {way}")
            done.append(transfer(path, trainable, seed, settings, progress))
    return Comparison(frozen=found[False], tuned=found[True])


def transfer(
    path: str | os.PathLike[str],
    trainable: bool,
    seed: int,
    settings: Settings,
    progress: Progress,
) -> Transfer:
    """Trains a model for digits 5 to 9 on the module in ``path``.

    A seed stands for the choice of examples, the head's initial values and the
    order of batches: frozen and fine-tuned models of one seed share them. The
    test examples measure only; no epoch is picked by them.
    """
    train, test = few_and_rest(digits(CLASSES), settings.examples, seed)
    keras.utils.set_random_seed(seed)
    rate = settings.tuned_rate if trainable else settings.frozen_rate
    model = _classifier(ModuleLayer(path, trainable=trainable), rate)
    history = model.fit(
        train.images,
        train.labels,
        epochs=settings.transfer_epochs,
        validation_data=(test.images, test.labels),
        validation_batch_size=len(test),
        verbose=0,
        callbacks=[_tell(progress)],
    )
    return Transfer(model, np.array(history.history["val_accuracy"]), test)


def difference_after_reload(done: Transfer, path: str | os.PathLike[str]) -> float:
    """Saves a model as ``.keras``, loads it and compares the two.

    Returns:
        The largest absolute difference between their logits on the test images.
    """
    with whole(os.fspath(path)) as file:
        done.model.save(file)
    reloaded = keras.models.load_model(path)
    before, after = (model.predict(done.test.images, verbose=0) for model in (done.model, reloaded))
    return float(np.max(np.abs(before - after)))


def _classifier(layer: ModuleLayer, learning_rate: float) -> keras.Model:
    model = keras.Sequential([keras.Input(IMAGE_SHAPE), layer, keras.layers.Dense(CLASSES)])
    model.compile(
        keras.optimizers.Adam(learning_rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def _tell(progress: Progress) -> keras.callbacks.Callback:
    return keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: progress.epoch())
