"""What docs/fine_tuning.md and docs/migration.md say of training, and the classes they show."""

import doctest

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers import twins
from helpers.column_modules import WORDS, texts_fn
from helpers.places import ROOT

v1 = tf.compat.v1

X, Y = twins.X, twins.Y


def shown_class(page, name, optimizer="Adam"):
    """A class that a page shows, as it stands there, or of another optimizer."""
    examples = doctest.DocTestParser().get_examples((ROOT / "docs" / page).read_text())
    (source,) = [each.source for each in examples if f"class {name}(" in each.source]
    known = {"keras": keras, "tf": tf}
    exec(source.replace("keras.optimizers.Adam", f"keras.optimizers.{optimizer}"), known)
    return known[name]


# --- a learning rate for each part ---

OPTIMIZERS = {"Adam": {}, "SGD": {"momentum": 0.9}}


def model_of(policy="float32"):
    keras.utils.set_random_seed(1)
    layer = hub.ModuleLayer(twins.spec(), trainable=True, training_tags=(), dtype=policy)
    return keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(2, dtype=policy)])


def by_two_optimizers(name, policy, steps):
    """Weights after training: the module's at 0.01, the head's at 0.1."""
    model = model_of(policy)
    parts = [layer.trainable_variables for layer in model.layers]
    make = getattr(keras.optimizers, name)
    optimizers = [make(rate, **OPTIMIZERS[name]) for rate in (0.01, 0.1)]
    scale = 2.0**15  # As a LossScaleOptimizer begins.
    for _ in range(steps):
        with tf.GradientTape() as tape:
            found = tf.cast(model(X, training=True), tf.float32)
            loss = (tf.reduce_mean((found - Y) ** 2) + sum(model.losses)) * scale
        for optimizer, part, gradients in zip(
            optimizers, parts, tape.gradient(loss, parts), strict=True
        ):
            optimizer.apply([gradient / scale for gradient in gradients], part)
    return model.get_weights()


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_learning_rate_for_each_part(name, policy, tmp_path):
    make = shown_class("fine_tuning.md", "ScaledAdam", name)
    model = model_of(policy)
    slow = {id(variable) for variable in model.layers[0].trainable_variables}
    factors = [0.1 if id(v) in slow else 1.0 for v in model.trainable_variables]
    model.compile(make(0.1, factors=factors, **OPTIMIZERS[name]), "mse")
    fit = {"batch_size": len(X), "shuffle": False, "verbose": 0}
    model.fit(X, Y, epochs=2, **fit)
    model.save(tmp_path / "half.keras")
    with keras.saving.custom_object_scope({"ScaledAdam": make}):
        model = keras.models.load_model(tmp_path / "half.keras")
    model.fit(X, Y, epochs=2, **fit)
    # float16 rounds sums in another order, in XLA or not.
    tolerance = 1e-6 if policy == "float32" else 1e-3
    for found, expected in zip(
        model.get_weights(), by_two_optimizers(name, policy, 4), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=tolerance)


def test_factors_of_other_variables():
    make = shown_class("fine_tuning.md", "ScaledAdam")
    model = model_of()
    model.layers[0].trainable = False
    model.compile(make(0.1, factors=[0.1] * 6), "mse")
    with pytest.raises(ValueError, match="make another optimizer"):
        model.fit(X, Y, verbose=0)


# --- freezing ---


def trained(model):
    """A model after two epochs, from a head that is known."""
    keras.utils.set_random_seed(1)
    model.layers[-1].set_weights([np.eye(3, 2, dtype=np.float32), np.zeros(2, np.float32)])
    model.compile(keras.optimizers.Adam(0.01), "mse")
    model.fit(X, Y, epochs=2, shuffle=False, verbose=0)
    return model


def test_averages_that_stand_still():
    """With ``training_tags=()``; all that is trainable is trained."""
    model = trained(
        keras.Sequential(
            [
                keras.Input((4,)),
                hub.ModuleLayer(twins.spec(), trainable=True, training_tags=()),
                keras.layers.Dense(2),
            ]
        )
    )
    weights = model.layers[0].variable_map
    assert weights["bn/mean"].numpy().tolist() == [0, 0, 0]
    assert weights["bn/variance"].numpy().tolist() == [1, 1, 1]
    for name in ("dense/kernel", "dense/bias", "bn/gamma", "bn/beta"):
        start = {"dense/kernel": twins.KERNEL, "bn/gamma": 1.0}.get(name, 0.0)
        assert np.abs(weights[name].numpy() - start).min() > 1e-6, name


def test_frozen_then_everything():
    """As a native model that is frozen, thawed and compiled again."""

    def run(make):
        model = keras.Sequential([keras.Input((4,)), make(False), keras.layers.Dense(2)])
        trained(model)
        model.layers[0].trainable = True
        trained(model)
        return model

    module, native = run(twins.module), run(twins.native)
    np.testing.assert_allclose(module(X), native(X), atol=1e-6)
    names = ["dense/kernel", "dense/bias", "bn/gamma", "bn/beta", "bn/mean", "bn/variance"]
    weights = module.layers[0].variable_map
    expected = [weight.numpy() for weight in native.layers[0].weights]
    for name, value in zip(names, expected, strict=True):
        np.testing.assert_allclose(weights[name], value, atol=1e-6, err_msg=name)


def test_a_model_whose_call_takes_no_training():
    """Keras trains such a model by inference calls; so it does with native layers."""

    class Model(keras.Model):
        def __init__(self, part):
            super().__init__()
            self.part, self.head = part, keras.layers.Dense(2)

        def call(self, x):
            return self.head(self.part(x))

    for make in (twins.module, twins.native):
        model = Model(make())
        model(X)
        model.compile("sgd", "mse")
        model.fit(X, Y, verbose=0)
        mean = model.part.non_trainable_variables[0].numpy()
        assert mean.tolist() == [0, 0, 0]


# --- columns of any number of texts ---


def by_the_column(combiner, default_value, texts, targets, rate):
    """What the column gives in a TF1 graph, and its module's weights after a step."""
    with tf.Graph().as_default(), v1.Session() as session:
        column = hub.sparse_text_embedding_column(
            "words", hub.create_module_spec(texts_fn), combiner, default_value, trainable=True
        )
        sparse = tf.SparseTensor(*texts)
        dense = v1.feature_column.input_layer({"words": sparse}, [column])
        loss = tf.reduce_mean((dense - targets) ** 2)
        step = v1.train.GradientDescentOptimizer(rate).minimize(loss)
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        before = session.run(dense)
        session.run(step)
        (weights,) = v1.trainable_variables()
        return before, session.run(weights)


@pytest.mark.parametrize("combiner", ["mean", "sum", "sqrtn"])
@pytest.mark.parametrize("default_value", [None, WORDS[1]])
def test_combined_texts(combiner, default_value, tmp_path):
    make = shown_class("migration.md", "Combined")
    # A row in the middle has no text, if something stands for it; the column forgets the last.
    rows = [0, 0, 0, 2] if default_value else [0, 0, 0, 1]
    texts = (
        [[row, n] for n, row in enumerate(rows)],
        [*WORDS, WORDS[0], WORDS[0]],
        [rows[-1] + 1, 4],
    )
    targets = np.arange(4.0 * texts[2][0], dtype=np.float32).reshape(-1, 4)
    before, weights = by_the_column(combiner, default_value, texts, targets, 0.01)

    layer = hub.ModuleLayer(hub.create_module_spec(texts_fn), trainable=True)
    words = keras.Input((None,), dtype="string", sparse=True)
    model = keras.Model(words, make(layer, combiner, default_value)(words))
    batches = tf.data.Dataset.from_tensor_slices((tf.SparseTensor(*texts), targets)).batch(4)
    np.testing.assert_allclose(model.predict(batches, verbose=0), before, atol=1e-6)
    model.compile(keras.optimizers.SGD(0.01), "mse")
    model.fit(batches, shuffle=False, verbose=0)
    np.testing.assert_allclose(layer.variable_map["weights"], weights, atol=1e-6)
    model.save(tmp_path / "words.keras")
    with keras.saving.custom_object_scope({"Combined": make}):
        again = keras.models.load_model(tmp_path / "words.keras")
    expected = model.predict(batches, verbose=0)
    np.testing.assert_allclose(again.predict(batches, verbose=0), expected, atol=1e-6)
