"""Modules in a Keras model where Keras does not find them: a warning when it trains."""

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers import twins

X, Y = twins.X, twins.Y


class Model(keras.Model):
    """Calls what it is given: a layer, a function or what hub.load returned."""

    def __init__(self, part):
        super().__init__()
        self.part = part
        self.head = keras.layers.Dense(2)

    def call(self, x):
        return self.head(self.part(x))


class Nested(keras.layers.Layer):
    def __init__(self, part):
        super().__init__()
        self.parts = {"all": [part]}

    def call(self, x):
        return self.parts["all"][0](x)


def in_a_lambda(part):
    return keras.Sequential(
        [keras.Input((4,)), keras.layers.Lambda(lambda x: part(x)), keras.layers.Dense(2)]
    )


def in_a_layer(part):
    return keras.Sequential([keras.Input((4,)), Nested(part), keras.layers.Dense(2)])


@pytest.fixture
def told(caplog):
    """What was said of modules that Keras does not know."""
    caplog.set_level(logging.WARNING, "absl")
    return lambda: [
        r.getMessage() for r in caplog.records if "Keras does not know" in r.getMessage()
    ]


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("tf2") / "model")
    tf.saved_model.save(hub.load(twins.spec()), folder)
    return folder


def fit(model, eagerly=True):
    model.compile("sgd", "mse", run_eagerly=eagerly)
    for _ in range(2):
        model.fit(X, Y, verbose=0)


@pytest.mark.parametrize("place", [Model, in_a_lambda, in_a_layer])
@pytest.mark.parametrize("kind", ["module", "saved model"])
def test_what_load_returned(place, kind, told, saved_model):
    loaded = hub.load(twins.spec() if kind == "module" else saved_model)
    model = place(loaded)
    model.compile("sgd", "mse", run_eagerly=True)
    model.predict(X, verbose=0)
    model.evaluate(X, Y, verbose=0)
    assert told() == []
    before = [variable.numpy() for variable in loaded.trainable_variables]
    fit(model)
    (message,) = told()
    assert message.startswith("Keras does not know the 4 trainable variable(s) of what layer ")
    assert f"{model.name!r} calls (module " in message
    assert "What to do: use hub.ModuleLayer(handle, trainable=True), or without" in message
    for variable, value in zip(loaded.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_signature_of_what_load_returned(told):
    serve = hub.load(twins.spec()).signatures["default"]
    fit(in_a_layer(lambda x: serve(default=x)["default"]))
    (message,) = told()
    assert "signature 'default'" in message


@pytest.mark.parametrize("kind", ["module", "saved model"])
def test_layer_in_a_function(kind, told, saved_model):
    layer = hub.ModuleLayer(twins.spec() if kind == "module" else saved_model, trainable=True)
    fit(in_a_lambda(layer), eagerly=kind == "module")
    (message,) = told()
    assert f"make layer {layer.name!r} an attribute of a layer of your own" in message


def test_what_keras_finds_or_leaves(told, saved_model):
    for make in (
        lambda: in_a_layer(twins.module()),
        lambda: Model(twins.module()),
        lambda: in_a_layer(hub.ModuleLayer(saved_model, trainable=True)),
        # Whoever freezes a layer knows that it is not trained.
        lambda: in_a_layer(hub.ModuleLayer(saved_model)),
        lambda: in_a_lambda(twins.module(trainable=False)),
    ):
        fit(make())
    assert told() == []


def test_outside_of_keras(told, tmp_path):
    loaded, layer = hub.load(twins.spec()), twins.module()
    for part, weights in (
        (loaded, loaded.trainable_variables),
        (layer, [weight.value for weight in layer.variable_map.values()]),
    ):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(part(X, training=True))
        assert any(gradient is not None for gradient in tape.gradient(loss, weights))
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(5).map(lambda x, y: (loaded(x), y))
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    model.fit(data, verbose=0, shuffle=False)
    tf.saved_model.save(loaded, tmp_path)
    assert told() == []
