"""XLA: what it can compile is known beforehand, computes the same, or is refused."""

import logging
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.golden import Golden
from hub_keras_bridge.compat import tensorflow as private_tf

v1 = tf.compat.v1
CPU = tf.config.PhysicalDevice("/physical_device:CPU:0", "CPU")
GPU = tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")


@pytest.fixture
def devices(monkeypatch):
    """Makes TensorFlow speak of other devices, physical and visible ones."""

    def pretend(physical, visible):
        def lister(devices):
            return lambda kind=None: [d for d in devices if kind in (None, d.device_type)]

        monkeypatch.setattr(tf.config, "list_physical_devices", lister(physical))
        monkeypatch.setattr(tf.config, "get_visible_devices", lister(visible))
        # TensorFlow registers XLA's kernels for the devices that it starts with.
        for_cpu = private_tf.xla_kernels
        monkeypatch.setattr(private_tf, "xla_kernels", lambda op, _: for_cpu(op, "XLA_CPU_JIT"))

    return pretend


def compiled(layer, **kwargs):
    model = keras.Sequential([layer])
    model.compile(keras.optimizers.SGD(0.01), "mse", **kwargs)
    return model


def text_layer():
    return hub.ModuleLayer(Golden("text_embed").path, trainable=True)


def mlp_layer():
    return hub.ModuleLayer(Golden("mlp_bn").path, trainable=True)


class TestSupport:
    @pytest.mark.parametrize(
        ("name", "signature", "missing"),
        [
            ("bert_tiny", "tokens", None),
            ("convnet", None, None),
            ("functions", None, None),
            ("mlp_bn", None, None),
            ("ref_vars", None, None),
            ("rnn", None, None),
            ("hyperparams", "constants", "_Retval (label)"),
            ("nested", None, "StringToHashBucketFast"),
            ("sparse_ragged", None, "SparseTensorDenseMatMul (SparseTensorDenseMatMul/"),
            ("text_embed", None, "LookupTableFindV2 (hash_table_Lookup/"),
        ],
    )
    def test_by_the_ops_of_the_graph(self, name, signature, missing, caplog):
        layer = hub.ModuleLayer(Golden(name).path, signature=signature, as_dict=True)
        with caplog.at_level(logging.WARNING, "absl"):
            assert layer.supports_jit is (missing is None)
            assert layer.supports_jit is (missing is None)
        assert len(caplog.records) == (missing is not None)
        if missing:
            assert f"XLA cannot compile layer '{layer.name}' (module " in caplog.text
            assert missing in caplog.text

    def test_by_the_dtypes_of_an_op(self):
        def module_fn(dtype):
            x = v1.placeholder(dtype, [None])
            same = tf.equal(x[:-1], x[1:])
            hub.add_signature(inputs=x, outputs=same)

        specs = [hub.create_module_spec(lambda d=d: module_fn(d)) for d in (tf.int32, tf.string)]
        assert [hub.ModuleLayer(spec).supports_jit for spec in specs] == [True, False]

    def test_by_what_the_layer_runs_as_long_as_it_is_trainable(self):
        def module_fn(training):
            x = v1.placeholder(tf.float32, [None])
            w = v1.get_variable("w", initializer=1.0)
            text = tf.strings.to_number(tf.as_string(x)) if training else x
            hub.add_signature(inputs=x, outputs=w * text)

        variants = [((), {"training": False}), ({"train"}, {"training": True})]
        layer = hub.ModuleLayer(hub.create_module_spec(module_fn, variants), trainable=True)
        assert not layer.supports_jit
        layer.trainable = False
        assert layer.supports_jit

    def test_a_user_may_rule_it_out(self):
        layer = mlp_layer()
        assert layer.supports_jit
        layer.supports_jit = False
        assert not layer.supports_jit
        with pytest.warns(UserWarning, match="doesn't support `jit_compile=True`"):
            assert not compiled(layer, jit_compile=True).jit_compile


class TestDefaultCompile:
    def test_without_an_accelerator(self):
        assert not compiled(mlp_layer()).jit_compile

    def test_with_an_accelerator(self, devices):
        devices([CPU, GPU], [CPU, GPU])
        assert compiled(mlp_layer()).jit_compile
        assert not compiled(text_layer()).jit_compile

    def test_with_an_accelerator_that_is_not_used(self, devices):
        devices([CPU, GPU], [CPU])
        assert not compiled(mlp_layer()).jit_compile

    def test_strings_and_tables_train(self):
        model = compiled(text_layer())
        model.fit(tf.constant(["the cat", "hello"]), np.zeros((2, 16)), verbose=0)


class TestCompiled:
    @pytest.mark.parametrize("name", ["mlp_bn", "convnet"])
    def test_fit_computes_the_same(self, name):
        x = Golden(name).inputs(0)

        def run(jit_compile):
            model = compiled(
                hub.ModuleLayer(Golden(name).path, trainable=True), jit_compile=jit_compile
            )
            assert model.jit_compile is jit_compile
            before = model.predict(x, verbose=0)
            losses = model.fit(x, np.zeros_like(before), epochs=2, verbose=0).history["loss"]
            return before, losses, model.get_weights()

        before, losses, weights = run(jit_compile=True)
        expected_before, expected_losses, expected_weights = run(jit_compile=False)
        np.testing.assert_allclose(before, expected_before, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(losses, expected_losses, rtol=1e-5)
        # Moving averages among them: the train variant and its update ops.
        for pair in zip(weights, expected_weights, strict=True):
            np.testing.assert_allclose(*pair, rtol=1e-4, atol=1e-6)

    def test_gradient_through_a_v1_loop(self):
        golden = Golden("rnn")
        x = {name: tf.constant(value) for name, value in golden.inputs(0).items()}
        layer = hub.ModuleLayer(golden.path, trainable=True, as_dict=True)

        def gradients(x):
            with tf.GradientTape() as tape:
                outputs = layer(x, training=True)
                loss = sum(tf.reduce_sum(value**2) for value in outputs.values())
            return tape.gradient(loss, layer.trainable_weights)

        found = tf.function(gradients, jit_compile=True)(x)
        for pair in zip(found, gradients(x), strict=True):
            np.testing.assert_allclose(*pair, rtol=1e-4, atol=1e-6)

    def test_saved_compiled(self, scale_path, tmp_path):
        """The model is compiled again before the module's graphs are read."""
        model = compiled(hub.ModuleLayer(scale_path, trainable=True), jit_compile=True)
        x = np.ones((2, 2), "float32")
        model.fit(x, x, verbose=0)
        model.save(tmp_path / "m.keras")
        shutil.rmtree(scale_path)
        loaded = keras.models.load_model(tmp_path / "m.keras")
        assert loaded.jit_compile
        np.testing.assert_allclose(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


class TestSavedModels:
    """What ModuleLayer makes where the handle leads to one."""

    @pytest.fixture
    def saved(self, tmp_path):
        """Converts a golden; makes a layer of it."""

        def convert(name, **kwargs):
            folder = str(tmp_path / name)
            tf.saved_model.save(hub.load(Golden(name).path), folder)
            layer = hub.ModuleLayer(folder, **kwargs)
            assert type(layer) is hub.ModuleLayer
            return layer

        return convert

    @pytest.mark.parametrize(
        ("name", "missing"),
        [
            ("convnet", None),
            ("functions", None),
            ("mlp_bn", None),
            ("rnn", None),
            ("nested", "StringToHashBucketFast"),
            ("text_embed", "LookupTableFindV2"),
        ],
    )
    def test_by_the_ops_of_the_functions(self, saved, name, missing, caplog):
        layer = saved(name, trainable=True)
        with caplog.at_level(logging.WARNING, "absl"):
            assert layer.supports_jit is (missing is None)
            assert layer.supports_jit is (missing is None)
        assert len(caplog.records) == (missing is not None)
        if missing:
            assert f"XLA cannot compile layer '{layer.name}' (module " in caplog.text
            assert missing in caplog.text

    def test_by_what_runs_and_as_long_as_it_is_trainable(self, tmp_path):
        """Text is in the training mode alone; in the other one nothing depends on it."""

        class Texts(tf.Module):
            @tf.function
            def __call__(self, x, training=False):
                text = tf.as_string(x)
                return tf.strings.to_number(text) if training else x

        module = Texts()
        for training in (False, True):
            module.__call__.get_concrete_function(tf.TensorSpec([None]), training=training)
        tf.saved_model.save(module, str(tmp_path / "texts"))
        layer = hub.ModuleLayer(tmp_path / "texts", trainable=True)
        x = tf.constant([1.0, 2.0])
        assert not layer.supports_jit
        with pytest.raises(hub.XlaError, match="AsString"):
            tf.function(lambda: layer(x, training=True), jit_compile=True)()
        layer.trainable = False
        assert layer.supports_jit
        compiled_call = tf.function(lambda: layer(x, training=True), jit_compile=True)
        np.testing.assert_array_equal(compiled_call(), x)

    def test_by_the_dtypes_of_inputs_and_outputs(self, tmp_path):
        module = tf.Module()
        module.__call__ = tf.function(lambda x: x, [tf.TensorSpec([None], tf.string)])
        tf.saved_model.save(module, str(tmp_path / "same"))
        assert not hub.ModuleLayer(tmp_path / "same").supports_jit

    def test_a_user_may_rule_it_out(self, saved):
        layer = saved("mlp_bn")
        layer.supports_jit = False
        assert not layer.supports_jit

    def test_fit_computes_the_same(self, saved):
        x = Golden("mlp_bn").inputs(0)

        def run(jit_compile):
            model = compiled(saved("mlp_bn", trainable=True), jit_compile=jit_compile)
            assert model.jit_compile is jit_compile
            before = model.predict(x, verbose=0)
            losses = model.fit(x, np.zeros_like(before), epochs=2, verbose=0).history["loss"]
            return losses, model.get_weights()

        losses, weights = run(jit_compile=True)
        expected_losses, expected_weights = run(jit_compile=False)
        np.testing.assert_allclose(losses, expected_losses, rtol=1e-5)
        for pair in zip(weights, expected_weights, strict=True):
            np.testing.assert_allclose(*pair, rtol=1e-4, atol=1e-6)

    def test_saved_compiled(self, saved, tmp_path):
        """The model is compiled again before the SavedModel is there."""
        x = Golden("mlp_bn").inputs(0)
        model = compiled(saved("mlp_bn", trainable=True), jit_compile=True)
        expected = model.predict(x, verbose=0)
        model.save(tmp_path / "m.keras")
        shutil.rmtree(tmp_path / "mlp_bn")
        loaded = keras.models.load_model(tmp_path / "m.keras")
        assert loaded.jit_compile
        np.testing.assert_allclose(loaded.predict(x, verbose=0), expected)

    def test_refused_when_traced(self, saved):
        layer, words = saved("text_embed"), tf.constant(["the cat"])
        with pytest.raises(hub.XlaError) as caught:
            tf.function(lambda: layer(words), jit_compile=True, autograph=False)()
        message = str(caught.value)
        assert "Cannot compile a TF2 SavedModel with XLA" in message
        assert "/text_embed'" in message
        assert "LookupTableFindV2 (" in message
        assert "tf.data.Dataset.map" in message
        assert layer(words).shape == (1, 16)


class TestRefused:
    def test_compile_goes_on_without(self, caplog):
        with (
            caplog.at_level(logging.WARNING, "absl"),
            pytest.warns(UserWarning, match="Proceeding with `jit_compile=False`"),
        ):
            model = compiled(text_layer(), jit_compile=True)
        assert "'StringSplit (StringSplit/StringSplit)'" in caplog.text
        assert model.predict(tf.constant(["the cat"]), verbose=0).shape == (1, 16)

    def test_a_function_that_xla_compiles(self):
        layer = text_layer()
        words = tf.constant(["the cat"])
        compiled_call = tf.function(lambda: layer(words), jit_compile=True, autograph=False)
        with pytest.raises(hub.XlaError) as caught:
            compiled_call()
        message = str(caught.value)
        assert "Cannot compile a TF1 Hub module with XLA" in message
        assert "text_embed" in message
        assert "LookupTableFindV2 (hash_table_Lookup/hash_table_Lookup/" in message
        assert "tf.data.Dataset.map" in message
        assert layer(words).shape == (1, 16)
