"""The demo's experiment: a module of digits 0 to 4, transferred to digits 5 to 9.

A small convolutional module is published as TF1 code would, trained on digits 0
to 4 and exported. Loaded back, it serves digits 5 to 9 twice on few examples:
frozen, and fine-tuned. Nothing here prints or plots.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from hub_keras_bridge.cli.demo.digits_module import IMAGE_SHAPE, digits_spec
from hub_keras_bridge.cli.demo.examples import CLASSES, Examples, digits, few_and_rest
from hub_keras_bridge.cli.demo.settings import Settings
from hub_keras_bridge.files.progress import Progress, Stages
from hub_keras_bridge.files.writing import whole
from hub_keras_bridge.frontends.keras3.module_layer import ModuleLayer


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


def publish(path: str | os.PathLike[str], settings: Settings, stage: Stages) -> None:
    """Trains the module on digits 0 to 4 and writes it to ``path``."""
    trained = stage("Training the module on digits 0 to 4")
    keras.utils.set_random_seed(0)
    layer = ModuleLayer(digits_spec(), trainable=True)
    data = digits(0)
    _classifier(layer, settings.publish_rate).fit(
        data.images,
        data.labels,
        epochs=settings.publish_epochs,
        verbose=0,
        callbacks=[_tell(trained)],
    )
    layer.export_module(path)


def compare(path: str | os.PathLike[str], settings: Settings, stage: Stages) -> Comparison:
    """Transfers the module in ``path`` to digits 5 to 9, both ways, for each seed."""
    found: dict[bool, list[Transfer]] = {False: [], True: []}
    for seed in range(settings.seeds):
        for trainable, done in found.items():
            way = "fine-tuned" if trainable else "frozen"
            trained = stage(f"Transferring to digits 5 to 9: seed {seed}, {way}")
            done.append(transfer(path, trainable, seed, settings, trained))
    return Comparison(frozen=found[False], tuned=found[True])


def transfer(
    path: str | os.PathLike[str],
    trainable: bool,
    seed: int,
    settings: Settings,
    trained: Progress,
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
        callbacks=[_tell(trained)],
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


def _tell(trained: Progress) -> keras.callbacks.Callback:
    """Tells of each pass over the training data."""
    return keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: trained(1))
