"""A layer of a TF2 SavedModel computes what TensorFlow does, whatever Keras computes with."""

from typing import ClassVar

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import hub_keras_bridge as hub
from helpers.backends import BACKEND, numbers
from helpers.column_saved_models import save_by_name, save_texts
from helpers.saved_models import Reusable, dense_model

X = np.float32([[1, 2], [3, -4], [0.5, 1.5]])
Y = np.float32([[1, 0], [0.5, 0.25], [-1, 2]])
TEXTS = ["hello world", "x", "pair-programming"]
RATE = 0.1

elsewhere = pytest.mark.skipif(BACKEND == "tensorflow", reason="TensorFlow can")


def close(found, expected):
    """Compares nests of the same structure."""
    found = tf.nest.map_structure(numbers, found)
    tf.nest.assert_same_structure(found, expected)
    for one, other in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(one, np.asarray(other), rtol=1e-5, atol=1e-6)


def close_weights(layer, variables):
    close([weight.value for weight in layer.weights], [v.numpy() for v in variables])


class Saved(tf.Module):
    """A SavedModel of some variables and one function."""

    variables = trainable_variables = ()
    spec = tf.TensorSpec([None, 2], tf.float32)

    @classmethod
    def to(cls, folder):
        model = cls()
        for training in (False, True):
            model.__call__.get_concrete_function(cls.spec, training=training)
        tf.saved_model.save(model, str(folder))
        return str(folder)

    def list(self, trained, others=()):
        self.variables, self.trainable_variables = [*trained, *others], list(trained)


class Looping(Saved):
    """Reads and writes in loops and branches, and has a gradient of its own."""

    def __init__(self):
        super().__init__()
        self.w = tf.Variable([[0.5, 0.1], [0.2, 0.3]], name="w")
        self.total = tf.Variable(0.0, trainable=False, name="total")
        self.list([self.w], [self.total])

    @tf.function
    def __call__(self, x, training=False):
        h = tf.zeros_like(x)
        for _ in tf.range(3):
            h = tf.tanh(x + h @ self.w)
            if training:
                self.total.assign_add(tf.reduce_sum(h))
        if self.total > 0.0:
            h += self.total
        return tripled(h)


@tf.custom_gradient
def tripled(x):
    return 3.0 * x, lambda above: above * tf.exp(-x * x)


class Nested(Saved):
    spec: ClassVar = {
        "a": tf.TensorSpec([None, 2]),
        "b": [tf.TensorSpec([None], tf.int32), tf.TensorSpec([])],
    }

    @tf.function
    def __call__(self, given, training=False):
        number, scale = given["b"]
        return [given["a"] * scale, {"more": number + 1}], (scale,)


class Random(Saved):
    def __init__(self):
        super().__init__()
        self.w = tf.Variable([2.0, 3.0], name="w")
        self.list([self.w])

    @tf.function
    def __call__(self, x, training=False):
        return tf.nn.dropout(x * self.w, 0.5) if training else x * self.w


class Hiding(Saved):
    """Writes a variable that it does not list."""

    def __init__(self):
        super().__init__()
        self.w, self.calls = tf.Variable([1.0, 2.0], name="w"), tf.Variable(3.0, name="calls")
        self.list([self.w])

    @tf.function
    def __call__(self, x, training=False):
        if training:
            self.calls.assign_add(1.0)
        return x * self.w * self.calls


class Generating(Saved):
    """Draws from a generator's state."""

    def __init__(self):
        super().__init__()
        self.generator = tf.random.Generator.from_seed(1)

    @tf.function
    def __call__(self, x, training=False):
        return x + self.generator.normal([2]) if training else x


class Signed(tf.Module):
    """As Keras 3 exports: signatures, and variables that no list names."""

    def __init__(self):
        super().__init__()
        self.kernel = tf.Variable([[1.0, 2.0], [3.0, 4.0]], name="dense/kernel")
        self.seen = tf.Variable(5, trainable=False, dtype=tf.int64, name="seen")

    @tf.function(input_signature=[tf.TensorSpec([None, 2], name="x")])
    def serve(self, x):
        return {"out": x @ self.kernel, "name": tf.strings.as_string(x[:, 0]), "n": self.seen}

    @tf.function(input_signature=[tf.TensorSpec([2], name="x"), tf.TensorSpec([2], name="y")])
    def dot(self, x, y):
        return {"dot": tf.tensordot(self.kernel @ x[:, None], y, [[0], [0]])}

    def to(self, folder):
        signatures = {"serving_default": self.serve, "dot": self.dot}
        tf.saved_model.save(self, str(folder), signatures=signatures)
        return str(folder)


def by_tensorflow(model, steps):
    """Loss per step of gradient descent, by TensorFlow alone."""
    losses = []
    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(X, training=True) - Y) ** 2)
            for each in getattr(model, "regularization_losses", ()):
                loss += each()
        gradients = tape.gradient(loss, model.trainable_variables)
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
            variable.assign_sub(RATE * gradient)
        losses.append(float(loss))
    return losses


def fitted(model, steps, inputs=X, targets=Y):
    model.compile(keras.optimizers.SGD(RATE), "mse")
    return model.fit(inputs, targets, epochs=steps, batch_size=len(targets), verbose=0)


def save_keras_2(folder):
    dense_model(tf_keras).save(str(folder), save_format="tf")
    return str(folder)


@pytest.fixture(scope="module")
def keras_2(tmp_path_factory):
    return save_keras_2(tmp_path_factory.mktemp("saved") / "keras_2")


def test_calls_write_and_losses_follow(tmp_path):
    Reusable().save(str(tmp_path))
    reference = tf.saved_model.load(str(tmp_path))
    layer, frozen = hub.ModuleLayer(tmp_path, trainable=True), hub.ModuleLayer(tmp_path)
    assert [weight.trainable for weight in layer.weights] == [True, False]
    close(layer(X), reference(X))
    close(layer(X, training=True), reference(X, training=True))
    close_weights(layer, reference.variables)
    layer.weights[0].assign([1.0, 2.0])
    close(layer.losses, [np.float32(3)])
    close(frozen(X, training=True), X * np.float32([3, 5]))
    assert frozen.losses == []


@pytest.mark.parametrize("save", [save_keras_2, Looping.to], ids=["keras_2", "looping"])
def test_fit_goes_where_tensorflow_goes(tmp_path, save):
    path = save(tmp_path / "model")
    reference, layer = tf.saved_model.load(path), hub.ModuleLayer(path, trainable=True)
    history = fitted(keras.Sequential([keras.Input((2,)), layer]), 3)
    np.testing.assert_allclose(history.history["loss"], by_tensorflow(reference, 3), rtol=1e-5)
    close_weights(layer, reference.variables)
    close(layer(X), reference(X))


def test_an_archive_trains_on(keras_2, tmp_path):
    layer = hub.ModuleLayer(keras_2, trainable=True, trainable_patterns=".*(kernel|gamma)")
    model = keras.Sequential([keras.Input((2,)), layer])
    fitted(model, 2)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    (loaded,) = again.layers
    trained = [name for name, weight in loaded.variable_map.items() if weight.trainable]
    assert [name.partition("/")[2] for name in trained] == ["kernel", "gamma"]
    close(again.predict(X, verbose=0), model.predict(X, verbose=0))
    close(fitted(again, 1).history, fitted(model, 1).history)
    close_weights(loaded, map(tf.constant, map(numbers, layer.weights)))


def test_nests_and_values_beside_arrays(tmp_path):
    path = Nested.to(tmp_path)
    given = {"a": X, "b": [np.int32([1, 2, 3]), np.float32(2)]}
    layer, expected = hub.ModuleLayer(path), tf.saved_model.load(path)(given)
    close(layer(given), expected)
    close(layer({"a": keras.ops.convert_to_tensor(X), "b": [[1, 2, 3], 2.0]}), expected)
    with pytest.raises(hub.InputError, match="its inputs are a list"):
        layer({"a": X, "b": [1]})


def test_signatures_share_weights_and_outputs_are_chosen(tmp_path):
    path = Signed().to(tmp_path)
    reference = tf.saved_model.load(path)
    layer = hub.ModuleLayer(path, output_key=["out", "n"], trainable=True)
    kernel, seen = (layer.variable_map[name] for name in ("dense/kernel", "seen"))
    assert (kernel.trainable, seen.trainable) == (True, False)
    expected = reference.signatures["serving_default"](x=tf.constant(X))
    close(layer(X), {key: expected[key] for key in ("n", "out")})
    dot = layer.with_signature("dot")
    kernel.assign([[2.0, 0.0], [0.0, 2.0]])
    close(dot({"x": X[0], "y": X[1]}), np.float32([-10]))
    one = hub.ModuleLayer(path, output_key="out", as_dict=True)
    with pytest.raises(hub.SignatureError, match="has no output 'gone'"):
        hub.ModuleLayer(path, output_key="gone")(X)
    if BACKEND != "tensorflow":
        with pytest.raises(hub.BackendError, match="Cannot return output 'name' of a TF2 Saved"):
            one(X)


def test_text(tmp_path):
    path, named = save_texts(tmp_path / "texts"), save_by_name(tmp_path / "by_name")
    layer, reference = hub.ModuleLayer(path, trainable=True), tf.saved_model.load(path)
    close(layer(TEXTS), reference(tf.constant(TEXTS)))
    close(layer(hub.text_to_bytes(TEXTS), training=True), 100 + reference(tf.constant(TEXTS)))
    twice = hub.ModuleLayer(named, output_key="twice")
    close(twice(np.array(TEXTS)), 2 * reference(tf.constant(TEXTS)))
    model = keras.Sequential([keras.Input((None,), dtype="uint8"), layer])
    fitted(model, 1, hub.text_to_bytes(TEXTS), np.ones((3, 4), "f"))
    with tf.GradientTape() as tape:
        output = reference(tf.constant(TEXTS), training=True)
        loss = tf.reduce_mean((output - 1) ** 2) + reference.regularization_losses[0]()
    gradient = tf.convert_to_tensor(tape.gradient(loss, reference.rows))
    close(layer.weights[0].value, reference.rows - RATE * gradient)


@elsewhere
def test_seeds(tmp_path):
    layer = hub.ModuleLayer(Random.to(tmp_path), trainable=True)
    many = np.ones((50, 2), "f")
    first, second = (numbers(layer(many, training=True)) for _ in range(2))
    assert {*np.unique(first[:, 0])} == {0, 4}
    assert (first != second).any()
    layer.seed_generator.state.assign(keras.random.SeedGenerator(7).state)
    third = numbers(layer(many, training=True))
    layer.seed_generator.state.assign(keras.random.SeedGenerator(7).state)
    np.testing.assert_array_equal(numbers(layer(many, training=True)), third)


def test_values_of_now(tmp_path):
    """In stateless calls, and in what is compiled."""
    layer = hub.ModuleLayer(Random.to(tmp_path), trainable=True)
    layer.weights[0].assign([10.0, 20.0])
    close(hub.compile(layer, engine="tensorflow")(X), X * np.float32([10, 20]))
    if BACKEND == "tensorflow":
        return
    others = [variable.value for variable in layer.non_trainable_variables]
    output, _ = layer.stateless_call([keras.ops.convert_to_tensor([1.0, 2.0])], others, X)
    close(output, X * np.float32([1, 2]))


@elsewhere
@pytest.mark.parametrize(
    ("model", "problem", "found"),
    [
        (Hiding, "a call writes variables that it does not list", "calls"),
        (Generating, "it needs more than their values", "RngReadAndSkip"),
    ],
)
def test_what_is_no_function_of_weights_is_refused(tmp_path, model, problem, found):
    path = model.to(tmp_path)
    layer = hub.ModuleLayer(path, trainable=True)
    close(layer(X), tf.saved_model.load(path)(X))
    with pytest.raises(hub.BackendError, match=problem) as caught:
        layer(X, training=True)
    assert found in str(caught.value.found)
    assert "training=False" in caught.value.advice
