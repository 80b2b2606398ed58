"""How a layer may be called: inputs at once or by name, training as a truth value or a tensor."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.saved_models import Reusable
from helpers.twins import X, module

v1 = tf.compat.v1

A, B = np.float32([1, 2]), np.float32([10, 20])
EXPECTED = A - 2 * B


def difference_fn(first="apples", second="oranges"):
    a, b = (v1.placeholder(tf.float32, [None]) for _ in range(2))
    hub.add_signature(inputs={first: a, second: b}, outputs=a - 2 * b)


def layer_of(*names):
    return hub.ModuleLayer(hub.create_module_spec(lambda: difference_fn(*names)))


# --- inputs ---


def test_inputs_by_keyword(tmp_path):
    layer = layer_of()
    np.testing.assert_array_equal(layer(apples=A, oranges=B), EXPECTED)
    np.testing.assert_array_equal(layer(oranges=B, apples=A, training=True), EXPECTED)
    assert hub.ModuleLayer(layer.spec)(oranges=B, apples=A).numpy().tolist() == EXPECTED.tolist()
    x = {name: keras.Input((), name=name) for name in ("apples", "oranges")}
    model = keras.Model(x, layer(apples=x["apples"], oranges=x["oranges"]))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for each in (model, loaded):
        np.testing.assert_array_equal(
            each.predict({"apples": A, "oranges": B}, verbose=0), EXPECTED
        )


def test_the_only_input_by_keyword():
    def words_fn():
        x = v1.placeholder(tf.string, [None])
        hub.add_signature(inputs={"text": x}, outputs=tf.strings.length(x))

    layer = hub.ModuleLayer(hub.create_module_spec(words_fn))
    assert layer(text=["a", "bcd"]).numpy().tolist() == [1, 3]


def test_an_input_with_the_name_of_a_parameter():
    layer = layer_of("inputs", "mask")
    np.testing.assert_array_equal(layer({"inputs": A, "mask": B}), EXPECTED)
    layer = layer_of("inputs", "others")
    np.testing.assert_array_equal(layer(inputs=A, others=B), EXPECTED)
    np.testing.assert_array_equal(layer({"inputs": A, "others": B}), EXPECTED)


@pytest.mark.parametrize(
    ("call", "found"),
    [
        (lambda layer: layer(A, B), "2 positional values"),
        (lambda layer: layer(A, B, True), "3 positional values"),
        (lambda layer: layer(A, oranges=B), "a positional value beside named ones"),
        (lambda layer: layer({"apples": A}, oranges=B), "a positional value beside named ones"),
    ],
)
def test_positional_inputs_have_no_names(call, found):
    with pytest.raises(hub.InputError) as error:
        call(layer_of())
    text = str(error.value)
    assert "which inputs of a TF1 Hub module positional values are meant for" in text
    assert f"Found: {found}" in text
    assert "layer(apples=..., oranges=...)" in text


def test_unknown_keywords():
    with pytest.raises(hub.InputError) as error:
        layer_of()(apples=A, pears=B)
    assert "Found: 'pears'" in str(error.value)
    assert "'apples', 'oranges', 'training'" in str(error.value)


def test_more_than_the_signature_has():
    with pytest.raises(hub.InputError) as error:
        layer_of()({"apples": A, "oranges": B, "id": A})
    assert "{k: value[k] for k in ['apples', 'oranges']}" in str(error.value)


def test_a_saved_model_of_several_inputs(tmp_path):
    saved = tf.Module()
    specs = {name: tf.TensorSpec([None], tf.float32) for name in ("apples", "oranges")}
    function = tf.function(lambda apples, oranges: {"y": apples - 2 * oranges})
    signature = function.get_concrete_function(**specs)
    tf.saved_model.save(saved, tmp_path, signatures={"serving_default": signature})
    layer = hub.ModuleLayer(str(tmp_path))
    np.testing.assert_array_equal(layer(apples=A, oranges=B), EXPECTED)
    with pytest.raises(hub.InputError, match=r"which inputs of a TF2 SavedModel"):
        layer(A, B)


def test_a_subclass_with_arguments_of_its_own():
    class Scaled(hub.ModuleLayer):
        def call(self, inputs, factor, training=None):
            return factor * super().call(inputs, training)

    layer = Scaled(layer_of().spec)
    for result in (
        layer({"apples": A, "oranges": B}, 3.0),
        layer({"apples": A, "oranges": B}, factor=3.0),
        layer(apples=A, oranges=B, factor=3.0),
    ):
        np.testing.assert_array_equal(result, 3 * EXPECTED)


def test_no_argument_at_all():
    with pytest.raises(TypeError, match=r"ModuleLayer\.__init__\(\) .* 'handle'"):
        hub.ModuleLayer()


# --- training ---


def called_in_function(layer, training):
    """A call, its gradients, and the variables after it, in a function that has a tensor."""

    @tf.function
    def run(x, training):
        with tf.GradientTape() as tape:
            y = layer(x, training=training)
            loss = tf.reduce_sum(y**2) + sum(layer.losses)
        return y, tape.gradient(loss, layer.trainable_weights, unconnected_gradients="zero")

    return run(X, training), [w.numpy() for w in layer.weights]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("trainable", [True, False])
def test_training_as_a_tensor(training, trainable):
    results, weights = called_in_function(module(trainable), tf.constant(training))
    expected, expected_weights = called_in_function(module(trainable), training)
    tf.nest.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6), results, expected
    )
    for found, value in zip(weights, expected_weights, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-6)


def test_training_as_an_eager_tensor_or_by_position():
    expected = module()(X, training=True)
    for training in (True, np.bool_(True), tf.constant(True), tf.Variable(True)):
        np.testing.assert_array_equal(module()(X, training), expected)
        np.testing.assert_array_equal(module()(X, training=training), expected)


def test_variants_that_are_not_alike():
    def module_fn(training=False):
        x = v1.placeholder(tf.float32, [None])
        factor = v1.get_variable("factor", initializer=2.0)
        outputs = {"default": x * factor, **({"mask": x} if training else {})}
        hub.add_signature(inputs=x, outputs=outputs)

    variants = [((), {}), ({"train"}, {"training": True})]
    spec = hub.create_module_spec(module_fn, variants)
    layer = hub.ModuleLayer(spec, trainable=True, as_dict=True)
    assert list(layer(A, training=True)) == ["default", "mask"]

    @tf.function
    def run(training):
        return layer(A, training=training)

    with pytest.raises(hub.InputError, match=r"Cannot choose between the variants .* by a tensor"):
        run(tf.constant(True))


def test_training_of_a_saved_model_as_a_tensor(tmp_path):
    Reusable().save(str(tmp_path))
    layer = hub.ModuleLayer(str(tmp_path), trainable=True)
    run = tf.function(lambda x, training: layer(x, training=training))
    x = np.float32([[1, 2]])
    for training in (True, False):
        np.testing.assert_array_equal(run(x, tf.constant(training)), layer(x, training=training))
