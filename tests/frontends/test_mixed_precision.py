"""Keras dtype policies: what is computed, what is returned, and that it trains."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.golden import Golden
from hub_keras_bridge.frontends.keras3.symbolic import to_output_dtypes

v1 = tf.compat.v1
HALVES = {"mixed_float16": tf.float16, "mixed_bfloat16": tf.bfloat16}
X = np.random.default_rng(0).normal(size=(16, 51)).astype("float32")
Y = np.random.default_rng(1).normal(size=(16, 1)).astype("float32")


@pytest.fixture(params=HALVES)
def policy(request):
    """A global policy, and the dtype of the outputs under it."""
    keras.config.set_dtype_policy(request.param)
    yield HALVES[request.param]
    keras.config.set_dtype_policy("float32")


def kinds_fn():
    """One output of each dtype that a layer may return."""
    x = v1.placeholder(tf.float32, [None, 2])
    outputs = {
        "float32": x * 1.5,
        "float64": tf.cast(x, tf.float64),
        "float16": tf.cast(x, tf.float16),
        "int32": tf.cast(x, tf.int32),
        "string": tf.as_string(x),
        "sparse": tf.sparse.from_dense(x),
    }
    hub.add_signature("symbolic", inputs=x, outputs=outputs)
    # Keras before 3.9 has no ragged symbols.
    ragged = tf.RaggedTensor.from_tensor(x)
    hub.add_signature(inputs=x, outputs={**outputs, "ragged": ragged})


@pytest.fixture
def kinds():
    return hub.create_module_spec(kinds_fn)


class TestOutputs:
    def test_computed_as_published_and_returned_as_the_policy_says(self, policy):
        path = Golden("mlp_bn").path
        exact = hub.ModuleLayer(path, dtype="float32")(X)
        found = hub.ModuleLayer(path)(X)
        assert (exact.dtype, found.dtype) == (tf.float32, policy)
        # Rounded once, at the end.
        np.testing.assert_array_equal(found, tf.cast(exact, policy))

    def test_a_policy_for_one_layer(self):
        layer = hub.ModuleLayer(Golden("mlp_bn").path, dtype="mixed_float16", trainable=True)
        assert layer(X).dtype == tf.float16
        assert {weight.dtype for weight in layer.weights} == {"float32"}

    def test_only_float32_follows(self, policy, kinds):
        found = hub.ModuleLayer(kinds, as_dict=True)([[1.0, 2.0]])
        assert {key: value.dtype for key, value in found.items()} == {
            "float32": policy,
            "float64": tf.float64,
            "float16": tf.float16,
            "int32": tf.int32,
            "string": tf.string,
            "ragged": policy,
            "sparse": policy,
        }
        assert isinstance(found["ragged"], tf.RaggedTensor)
        assert isinstance(found["sparse"], tf.SparseTensor)

    def test_symbolic_outputs_have_the_same_dtypes(self, policy, kinds):
        layer = hub.ModuleLayer(kinds, signature="symbolic", as_dict=True)
        found = layer([[1.0, 2.0]])
        for key, symbol in layer(keras.Input((2,), dtype="float32")).items():
            assert symbol.dtype == found[key].dtype.name, key

    def test_float64_policy(self):
        layer = hub.ModuleLayer(Golden("mlp_bn").path, dtype="float64")
        assert layer(X).dtype == tf.float64

    def test_nothing_to_do(self):
        outputs = {"a": tf.constant(1.0)}
        assert to_output_dtypes(outputs, "float32") is outputs


class TestSavedModels:
    """What ModuleLayer makes where the handle leads to one."""

    @pytest.fixture
    def folder(self, kinds, tmp_path):
        """All kinds of output in a dict in a list."""
        module = hub.load(kinds, signature="symbolic")
        nested = tf.Module()
        nested.module = module
        spec = tf.TensorSpec([None, 2])
        nested.__call__ = tf.function(lambda x: [module(x)["float32"], module(x)], [spec])
        tf.saved_model.save(nested, str(tmp_path / "nested"))
        return tmp_path / "nested"

    def test_outputs(self, policy, folder):
        layer = hub.ModuleLayer(folder)
        first, found = layer([[1.0, 2.0]])
        assert (first.dtype, found["float32"].dtype, found["sparse"].dtype) == (policy,) * 3
        for name in ("float64", "float16", "int32", "string"):
            assert found[name].dtype.name == name
        np.testing.assert_array_equal(first, tf.cast([[1.5, 3.0]], policy))
        first_symbol, symbols = layer(keras.Input((2,), dtype="float32"))
        assert first_symbol.dtype == policy.name
        assert {key: symbol.dtype for key, symbol in symbols.items()} == {
            key: value.dtype.name for key, value in found.items()
        }

    def test_beside_native_layers(self, policy, tmp_path):
        tf.saved_model.save(hub.load(Golden("mlp_bn").path), str(tmp_path / "mlp"))
        layer = hub.ModuleLayer(tmp_path / "mlp", trainable=True)
        inputs = keras.Input((51,))
        module = layer(keras.layers.Dense(51)(inputs))
        total = keras.layers.Add()([module, keras.layers.Dense(module.shape[-1])(inputs)])
        model = keras.Model(inputs, keras.layers.Dense(1, dtype="float32")(total))
        assert module.dtype == policy.name
        assert {weight.dtype for weight in layer.weights} == {"float32"}
        model.compile(keras.optimizers.SGD(0.01), "mse")
        before = layer.get_weights()
        losses = model.fit(X, Y, epochs=3, verbose=0).history["loss"]
        assert losses[-1] < losses[0]
        assert any(np.any(a != b) for a, b in zip(before, layer.get_weights(), strict=True))
        model.save(tmp_path / "m.keras")
        keras.config.set_dtype_policy("float32")
        loaded = keras.models.load_model(tmp_path / "m.keras")
        np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))


class TestModels:
    def branches(self):
        """A module beside a native layer, behind one, and before one."""
        inputs = keras.Input((51,))
        narrow = keras.layers.Dense(51, name="before")(inputs)
        module = hub.ModuleLayer(Golden("mlp_bn").path, trainable=True)(narrow)
        native = keras.layers.Dense(module.shape[-1], name="beside")(inputs)
        total = keras.layers.Lambda(lambda pair: tf.add(*pair))([module, native])
        return keras.Model(inputs, keras.layers.Dense(1, dtype="float32")(total))

    def test_beside_native_layers(self, policy):
        """tf.add takes operands of one dtype only."""
        model = self.branches()
        keras.config.set_dtype_policy("float32")
        exact = self.branches()
        exact.set_weights(model.get_weights())
        half = model.predict(X, verbose=0)
        np.testing.assert_allclose(half, exact.predict(X, verbose=0), atol=0.1)

    def test_saved_and_loaded(self, policy, tmp_path):
        layer = hub.ModuleLayer(Golden("mlp_bn").path)
        model = keras.Sequential([keras.Input((51,)), layer, keras.layers.Dense(1)])
        model.save(tmp_path / "m.keras")
        keras.config.set_dtype_policy("float32")
        loaded = keras.models.load_model(tmp_path / "m.keras")
        assert loaded.layers[0].output.dtype == policy.name
        np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))


class TestTraining:
    def train(self, optimizer):
        keras.utils.set_random_seed(1)
        layer = hub.ModuleLayer(Golden("mlp_bn").path, trainable=True)
        model = keras.Sequential([layer, keras.layers.Dense(1, dtype="float32")])
        model.compile(optimizer, "mse")
        layer.build()
        before = layer.get_weights()
        losses = model.fit(X, Y, batch_size=8, epochs=4, shuffle=False, verbose=0).history["loss"]
        steps = [new - old for new, old in zip(layer.get_weights(), before, strict=True)]
        return model, losses, steps

    def test_as_in_float32(self, policy):
        model, losses, steps = self.train(keras.optimizers.SGD(0.01))
        scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
        assert scaled == (policy == tf.float16)
        keras.config.set_dtype_policy("float32")
        _, exact_losses, exact_steps = self.train(keras.optimizers.SGD(0.01))
        np.testing.assert_allclose(losses, exact_losses, rtol=0.02)
        assert losses[-1] < losses[0]
        for step, exact in zip(steps, exact_steps, strict=True):
            # Moving averages among them: update ops run in the module's float32.
            assert np.linalg.norm(step - exact) <= 0.05 * np.linalg.norm(exact) + 1e-7

    def test_losses_stay_as_published(self, policy):
        layer = hub.ModuleLayer(Golden("mlp_bn").path, trainable=True)
        layer.build()
        assert layer.losses
        assert {loss.dtype for loss in layer.losses} == {tf.float32}
