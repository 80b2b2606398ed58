"""Inputs of another dtype, however a module is called: converted if nothing is lost by it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from hub_keras_bridge.tools.apply.batch_runner import BatchRunner

v1 = tf.compat.v1

IDS = tf.constant([[1, 2, 3], [4, 5, 6]], tf.int64)
TOO_LARGE = tf.constant([[1, 2, 3], [4, 5, 2**40]], tf.int64)
TARGETS = np.float32([[1.0], [2.0]])
TABLE = np.linspace(-1, 1, 20, dtype=np.float32).reshape(10, 2)


def ids_fn():
    ids = v1.placeholder(tf.int32, [None, 3])
    table = v1.get_variable("table", initializer=TABLE)
    hub.add_signature(inputs={"ids": ids}, outputs=tf.reduce_mean(tf.gather(table, ids), 1))


def two_fn():
    ids = v1.placeholder(tf.int32, [None, 3])
    mask = v1.placeholder(tf.int32, [None, 3])
    table = v1.get_variable("table", initializer=TABLE)
    words = tf.gather(table, ids) * tf.cast(mask, tf.float32)[:, :, None]
    hub.add_signature(inputs={"ids": ids, "mask": mask}, outputs=tf.reduce_mean(words, 1))


def square_fn():
    x = v1.placeholder(tf.float32, [None])
    hub.add_signature(inputs=x, outputs=x * x)


def saved(module_fn, folder):
    """As a TF2 SavedModel."""
    tf.saved_model.save(hub.load(hub.create_module_spec(module_fn)), folder)
    return str(folder)


@pytest.fixture(scope="module", params=["TF1 Hub module", "TF2 SavedModel"])
def handle(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("module") / "ids"
    if request.param == "TF1 Hub module":
        hub.ModuleLayer(hub.create_module_spec(ids_fn)).export_module(folder)
        return str(folder)
    return saved(ids_fn, folder)


def trained_on(ids, layer, dtype="int64", **compile_args):
    """A functional model, and its loss."""
    x = keras.Input((3,), dtype=dtype)
    model = keras.Model(x, keras.layers.Dense(1, kernel_initializer="ones")(layer(x)))
    model.compile(keras.optimizers.SGD(0.5), "mse", **compile_args)
    return model, model.fit(ids, TARGETS, verbose=0, epochs=3).history["loss"]


class OneLayer(keras.Model):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def call(self, inputs):
        return self.layer(inputs)


def in_function(module, ids):
    return tf.function(lambda given: module(given))(ids)


def functional(layer, ids):
    x = keras.Input((3,), dtype="int64")
    return keras.Model(x, layer(x))(ids)


WAYS = {
    "eagerly": lambda handle, ids: hub.ModuleLayer(handle)(ids),
    "variable": lambda handle, ids: hub.ModuleLayer(handle)(tf.Variable(ids)),
    "tf.function": lambda handle, ids: tf.function(hub.ModuleLayer(handle))(ids),
    "captured": lambda handle, ids: tf.function(lambda layer: layer(ids))(hub.ModuleLayer(handle)),
    "map": lambda handle, ids: next(
        iter(tf.data.Dataset.from_tensors(ids).map(hub.ModuleLayer(handle)))
    ),
    "functional": lambda handle, ids: functional(hub.ModuleLayer(handle), ids),
    "predict": lambda handle, ids: OneLayer(hub.ModuleLayer(handle)).predict(ids, verbose=0),
    "load": lambda handle, ids: hub.load(handle)(ids),
    "load in a function": lambda handle, ids: in_function(hub.load(handle), ids),
}


@pytest.mark.parametrize("way", WAYS)
def test_converted_where_values_fit(handle, way):
    expected = hub.ModuleLayer(handle)(tf.cast(IDS, tf.int32))
    np.testing.assert_array_equal(WAYS[way](handle, IDS), expected)


@pytest.mark.parametrize("way", WAYS)
def test_an_error_where_one_does_not(handle, way):
    with pytest.raises((hub.InputError, tf.errors.InvalidArgumentError)) as caught:
        WAYS[way](handle, TOO_LARGE)
    known = way in ("eagerly", "variable", "captured", "functional", "load")
    assert isinstance(caught.value, hub.InputError) is known
    text = str(caught.value)
    assert "Cannot feed input " in text
    assert "int64 with the value 1099511627776, which int32 does not hold" in text
    assert "look at the values: int32 holds -2147483648 to 2147483647" in text


def test_apply(tmp_path):
    hub.ModuleLayer(hub.create_module_spec(ids_fn)).export_module(tmp_path / "module")
    runner = BatchRunner(tmp_path / "module")
    found = runner.run_examples([{"ids": row} for row in IDS.numpy()])
    expected = hub.ModuleLayer(tmp_path / "module")(tf.cast(IDS, tf.int32))
    np.testing.assert_array_equal([row["default"] for row in found], expected)


# --- Keras ---


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_fit_trains_the_same(handle, policy):
    def run(ids, dtype):
        layer = hub.ModuleLayer(handle, trainable=True, dtype=policy)
        model, losses = trained_on(ids, layer, dtype)
        return losses, layer.variable_map["table"].numpy(), model.evaluate(ids, TARGETS, verbose=0)

    expected = run(tf.cast(IDS, tf.int32), "int32")
    for one, other in zip(run(IDS, "int64"), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_fit_on_a_dataset_of_dicts():
    """As of a tokenizer."""

    def run(dtype):
        layer = hub.ModuleLayer(hub.create_module_spec(two_fn), trainable=True)
        inputs = {name: keras.Input((3,), dtype="int64", name=name) for name in ("ids", "mask")}
        models = [OneLayer(layer)]
        if dtype == tf.int64:
            models.append(keras.Model(inputs, layer(inputs)))
        features = {"ids": tf.cast(IDS, dtype), "mask": tf.ones([2, 3], dtype)}
        data = tf.data.Dataset.from_tensors((features, np.ones((2, 2), np.float32)))
        losses = []
        for model in models:
            model.compile(keras.optimizers.SGD(0.1), "mse")
            losses.append(model.fit(data, verbose=0).history["loss"][0])
            layer.set_weights([TABLE])
        return losses

    (expected,) = run(tf.int32)
    np.testing.assert_allclose(run(tf.int64), [expected] * 2, rtol=1e-6)


def test_errors_in_fit(handle):
    layer = hub.ModuleLayer(handle, trainable=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match="which int32 does not hold"):
        trained_on(TOO_LARGE, layer)


def test_symbols_that_can_never_fit(handle):
    layer = hub.ModuleLayer(handle)
    for dtype in ("string", "float32"):
        with pytest.raises(hub.InputError) as caught:
            layer(keras.Input((3,), dtype=dtype))
        assert caught.value.found == f"{dtype} [?, 3]"
        assert 'begin the model with keras.Input((3,), dtype="int32")' in caught.value.advice


def test_exported_with_the_check(handle, tmp_path):
    model, _ = trained_on(IDS, hub.ModuleLayer(handle))
    model.export(tmp_path / "exported", verbose=False)
    exported = hub.load(tmp_path / "exported")
    np.testing.assert_allclose(exported(IDS), model.predict(IDS, verbose=0), rtol=1e-6)
    with pytest.raises(tf.errors.InvalidArgumentError, match="which int32 does not hold") as caught:
        exported(TOO_LARGE)
    assert handle not in str(caught.value)


# --- in the graph ---


@pytest.mark.parametrize(
    ("dtype", "checks"), [(tf.float32, 0), (tf.uint8, 0), (tf.float16, 0), (tf.float64, 1)]
)
def test_nothing_is_checked_without_need(dtype, checks):
    layer = hub.ModuleLayer(hub.create_module_spec(square_fn))
    function = tf.function(layer).get_concrete_function(tf.TensorSpec([None], dtype))
    types = [op.type for op in function.graph.get_operations()]
    assert types.count("Assert") == checks
    assert types.count("Cast") == (dtype != tf.float32) + 3 * checks - checks


@pytest.mark.parametrize("wrap", [lambda layer: layer, tf.function], ids=["eagerly", "in a graph"])
def test_gradients_come_in_the_dtype_given(wrap):
    layer = wrap(hub.ModuleLayer(hub.create_module_spec(square_fn)))
    for dtype in (tf.float16, tf.float64):
        x = tf.constant([0.5, 3.0], dtype)
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x))
        gradient = tape.gradient(loss, x)
        assert gradient.dtype == dtype
        assert gradient.numpy().tolist() == [1.0, 6.0]


def test_vectorized_map():
    layer = hub.ModuleLayer(hub.create_module_spec(ids_fn))
    found = tf.vectorized_map(lambda row: layer(row[None])[0], IDS)
    np.testing.assert_allclose(found, layer(IDS), rtol=1e-6)


# --- XLA ---


class TestXla:
    """Which leaves assertions out."""

    def test_refuses_what_needs_a_check(self, handle):
        layer = hub.ModuleLayer(handle)
        layer.build()
        compiled = tf.function(layer, jit_compile=True)
        with pytest.raises(hub.InputError) as caught:
            compiled(IDS)
        assert caught.value.found == "dtype int64, in a function that XLA compiles without checks"
        assert "cast the data in tf.data.Dataset.map" in caught.value.advice
        assert 'keras.Input(..., dtype="int32")' in caught.value.advice
        for given in (tf.cast(IDS, tf.int32), tf.cast(IDS, tf.uint8)):
            np.testing.assert_allclose(compiled(given), layer(IDS), rtol=1e-6)
        known = tf.function(lambda: layer(IDS), jit_compile=True)  # The values are known.
        np.testing.assert_allclose(known(), layer(IDS), rtol=1e-6)

    def test_never_goes_on_without_the_check(self, handle):
        """Not even where a function was traced outside of what XLA compiles."""
        function = tf.function(hub.ModuleLayer(handle))
        function(IDS)
        with pytest.raises((hub.InputError, tf.errors.InvalidArgumentError)):
            tf.function(lambda ids: function(ids), jit_compile=True)(TOO_LARGE)

    def test_keras_leaves_xla_out(self, handle, caplog):
        layer = hub.ModuleLayer(handle, trainable=True)
        with (
            caplog.at_level("WARNING", "absl"),
            pytest.warns(UserWarning, match="Proceeding with `jit_compile=False`"),
        ):
            model, losses = trained_on(IDS, layer, jit_compile=True)
        assert not model.jit_compile
        assert np.isfinite(losses).all()
        assert " (int64 for int32)'; begin the model with keras.Input of" in caplog.text

    def test_keras_compiles_what_needs_none(self, handle):
        for dtype in ("int32", "uint8"):
            layer = hub.ModuleLayer(handle, trainable=True)
            model, losses = trained_on(tf.cast(IDS, dtype), layer, dtype, jit_compile=True)
            assert model.jit_compile
            assert np.isfinite(losses).all()
