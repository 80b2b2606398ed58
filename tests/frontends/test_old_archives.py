"""Keras archives that version 0.1.0 wrote: they load, compute what it computed, and go on."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.places import GOLDEN

ARCHIVES = GOLDEN / "keras_archives"
RECORDED = json.loads((ARCHIVES / "recorded.json").read_text())
TRAINED = ["saved_model", "text", "variants"]


def inputs_of(name):
    given = RECORDED[name]["inputs"]
    return tf.constant(given, None if isinstance(given[0], str) else tf.float32)


def check(model, inputs, recorded):
    np.testing.assert_allclose(model(inputs), recorded["outputs"], rtol=1e-6, atol=1e-6)
    losses = [float(loss) for loss in model.losses]
    np.testing.assert_allclose(losses, recorded["losses"], rtol=1e-6)


def test_nothing_is_left_out():
    assert {path.stem for path in ARCHIVES.glob("*.keras")} == RECORDED.keys()


@pytest.mark.parametrize("name", RECORDED)
def test_computes_what_was_recorded(name):
    model = keras.models.load_model(ARCHIVES / f"{name}.keras")
    check(model, inputs_of(name), RECORDED[name])
    (layer,) = [layer for layer in model.layers if isinstance(layer, hub.ModuleLayer)]
    assert layer.trainable == (name in TRAINED)


@pytest.mark.parametrize("name", RECORDED)
def test_goes_on(name, tmp_path):
    """A step of training, and another archive."""
    model = keras.models.load_model(ARCHIVES / f"{name}.keras")
    if name not in TRAINED:
        model.compile(keras.optimizers.SGD(0.1), "mse")
    inputs, before = inputs_of(name), model.get_weights()
    model.fit(inputs, np.zeros_like(RECORDED[name]["outputs"]), verbose=0)
    pairs = zip(before, model.get_weights(), strict=True)
    assert any((one != other).any() for one, other in pairs) == (name in TRAINED)
    expected = {"outputs": model(inputs), "losses": [float(loss) for loss in model.losses]}
    model.save(tmp_path / "again.keras")
    del model
    check(keras.models.load_model(tmp_path / "again.keras"), inputs, expected)


@pytest.mark.parametrize("name", RECORDED)
def test_shapes_are_known_before_anything_runs(name):
    """They are in the config, since a model is restored from that alone at first."""
    model = keras.models.load_model(ARCHIVES / f"{name}.keras")
    outputs = np.shape(RECORDED[name]["outputs"])
    assert model.output_shape == (None, *outputs[1:])
    (layer,) = [layer for layer in model.layers if isinstance(layer, hub.ModuleLayer)]
    config = json.loads(json.dumps(layer.get_config()))
    assert layer.compute_output_shape(model.input_shape) == layer.output.shape
    assert type(layer).from_config(config).get_config() == config
