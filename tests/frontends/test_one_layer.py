"""One ModuleLayer, whatever its handle leads to: a TF1 Hub module or a TF2 SavedModel."""

import abc
import json
import logging
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.golden import scale_fn
from helpers.saved_models import Reusable
from hub_keras_bridge.files.layout import SAVED_MODEL_FILE
from hub_keras_bridge.frontends.keras3.exported_modules import module_layers
from hub_keras_bridge.frontends.tf2 import saved_model_file
from hub_keras_bridge.tools.convert.hub_module import to_hub

X = np.float32([[1, 2], [3, 5]])
KINDS = ("module", "saved_model")


@pytest.fixture
def module(publish):
    """Multiplies by 3."""
    return publish(scale_fn)


@pytest.fixture
def saved_model(tmp_path):
    """Multiplies by 3 and 5."""
    Reusable().save(str(tmp_path / "saved_model"))
    return str(tmp_path / "saved_model")


@pytest.fixture(params=KINDS)
def handle(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def factors(handle, module):
    return np.float32([3, 3] if handle == module else [3, 5])


@keras.saving.register_keras_serializable(package="test_one_layer")
class Tripled(hub.ModuleLayer):
    """A user's own, with an argument of its own."""

    def __init__(self, handle, *, times=3.0, **kwargs):
        super().__init__(handle, **kwargs)
        self.times = times

    def call(self, inputs, training=None):
        return self.times * super().call(inputs, training)

    def get_config(self):
        return {**super().get_config(), "times": self.times}


def test_the_class_is_the_same(handle):
    layer = hub.ModuleLayer(handle)
    assert type(layer) is hub.ModuleLayer
    assert type(hub.ModuleLayer) is type(keras.layers.Layer)
    assert not hasattr(hub, "SavedModelLayer")


class TestSubclass:
    def test_of_a_keras_layer_and_of_others(self, handle, factors):
        class Mixed(hub.ModuleLayer, abc.ABC):
            pass

        assert isinstance(Mixed(handle), hub.ModuleLayer)
        np.testing.assert_array_equal(Mixed(handle)(X), X * factors)

    def test_alone_and_in_models(self, handle, factors):
        layer = Tripled(handle)
        expected = 3 * X * factors
        np.testing.assert_array_equal(layer(X), expected)
        sequential = keras.Sequential([keras.Input((2,)), layer])
        np.testing.assert_array_equal(sequential.predict(X, verbose=0), expected)
        symbol = keras.Input((2,))
        functional = keras.Model(symbol, layer(symbol))
        assert functional.output_shape == (None, 2)
        np.testing.assert_array_equal(functional.predict(X, verbose=0), expected)

    def test_trains_and_goes_through_an_archive(self, handle, tmp_path):
        model = keras.Sequential([keras.Input((2,)), Tripled(handle, times=2.0, trainable=True)])
        model.compile(keras.optimizers.SGD(0.001), "mse")
        before = model.get_weights()[0]
        losses = model.fit(X, X, epochs=3, verbose=0).history["loss"]
        assert losses[2] < losses[0]
        assert (model.get_weights()[0] != before).all()
        expected, regularization = model.predict(X, verbose=0), sum(map(float, model.losses))
        model.save(tmp_path / "m.keras")
        shutil.rmtree(handle)
        loaded = keras.models.load_model(tmp_path / "m.keras")
        assert type(loaded.layers[0]) is Tripled
        assert loaded.layers[0].times == 2.0
        np.testing.assert_array_equal(loaded.predict(X, verbose=0), expected)
        assert sum(map(float, loaded.losses)) == regularization
        goes_on = [m.fit(X, X, verbose=0).history["loss"] for m in (model, loaded)]
        np.testing.assert_allclose(*goes_on, rtol=1e-6)


def test_config_is_json_and_rebuilds(handle, factors):
    layer = hub.ModuleLayer(handle, trainable=True, trainable_patterns=["a"], name="hub")
    layer.compute_output_shape((None, 2))
    config = json.loads(json.dumps(layer.get_config()))
    again = hub.ModuleLayer.from_config(config)
    assert again.get_config() == config
    assert config["training_tags"] is config["tags"] is None
    np.testing.assert_array_equal(again(X), X * factors)


def test_shapes_and_dtypes(handle):
    layer = hub.ModuleLayer(handle, dtype="mixed_float16")
    assert layer.compute_output_shape((7, 2)) == (7, 2)
    symbol = layer(keras.Input((2,)))
    assert (symbol.shape, symbol.dtype) == ((None, 2), "float16")
    assert layer(X).dtype == tf.float16
    assert (layer.compute_dtype, layer.variable_dtype) == ("float32", "float32")


class TestWhatASavedModelCannot:
    @pytest.mark.parametrize(
        ("use", "error", "words"),
        [
            (lambda layer: layer.spec, hub.FormatError, "A TF2 SavedModel has no ModuleSpec."),
            (
                lambda layer: layer.export_module("/nowhere/module"),
                hub.ExportError,
                "Cannot export a TF2 SavedModel as a TF1 Hub module.",
            ),
            (
                lambda layer: layer.hold_vocabularies(),
                hub.ExportError,
                "Cannot hold the vocabularies of a TF2 SavedModel",
            ),
        ],
        ids=["spec", "export_module", "hold_vocabularies"],
    )
    def test_says_so(self, saved_model, use, error, words):
        with pytest.raises(error) as caught:
            use(hub.ModuleLayer(saved_model))
        assert words in caught.value.problem
        assert caught.value.subject.module == saved_model
        assert caught.value.found == "a layer made of a TF2 SavedModel"
        assert caught.value.advice

    def test_training_tags(self, saved_model):
        with pytest.raises(hub.TagsError, match="no variant for training"):
            hub.ModuleLayer(saved_model, training_tags={"train"})

    def test_errors_say_what_it_is(self, saved_model, tmp_path):
        with pytest.raises(hub.InputError, match="Cannot feed input 'inputs' of a TF2 SavedModel"):
            hub.ModuleLayer(saved_model)([["text", "text"]])
        reader = tf.Module()
        reader.read = tf.function(tf.io.read_file, [tf.TensorSpec([], tf.string)])
        tf.saved_model.save(reader, str(tmp_path / "reader"), reader.read)
        with pytest.raises(hub.UnsafeModuleError, match="Refused a TF2 SavedModel in safe mode"):
            hub.ModuleLayer(tmp_path / "reader")

    def test_is_what_a_module_can(self, module, tmp_path):
        layer = hub.ModuleLayer(module)
        assert layer.spec.get_signature_names() == ["default"]
        layer.hold_vocabularies()
        layer.export_module(tmp_path / "again")
        np.testing.assert_array_equal(hub.ModuleLayer(tmp_path / "again")(X), 3 * X)


class TestExporter:
    def model(self, *layers):
        model = keras.Sequential([keras.Input((2,)), *layers])
        model.compile("sgd", "mse")
        return model

    def test_refuses_a_model_with_saved_models_alone(self, saved_model, tmp_path):
        model = self.model(hub.ModuleLayer(saved_model, name="restored"))
        exporter = hub.LatestModuleExporter(tmp_path / "out")
        with pytest.raises(hub.PublishError, match="TF2 SavedModels alone: 'restored'"):
            model.fit(X, X, callbacks=[exporter], verbose=0)
        assert not (tmp_path / "out").exists()

    def test_names_what_it_leaves_out(self, module, saved_model, tmp_path, caplog):
        layers = [
            hub.ModuleLayer(module, name="scaler", trainable=True),
            hub.ModuleLayer(saved_model, name="restored"),
        ]
        model = self.model(*layers)
        assert module_layers(model) == layers
        exporter = hub.LatestModuleExporter(tmp_path / "out")
        with caplog.at_level(logging.WARNING, "absl"):
            model.fit(X, X, epochs=2, callbacks=[exporter], verbose=0)
        (message,) = [r.getMessage() for r in caplog.records if "Not exported" in r.getMessage()]
        assert message.endswith("save the model to keep what was trained: 'restored'")
        (newest,) = exporter.export().values()
        np.testing.assert_array_equal(hub.ModuleLayer(newest)(X), layers[0](X))

    def test_refuses_to_register_one(self, saved_model):
        with pytest.raises(hub.PublishError, match="layer 'restored', made of a TF2 SavedModel"):
            hub.register_module_for_export(hub.ModuleLayer(saved_model, name="restored"), "out")


def test_a_model_of_both_becomes_the_module_that_is_in_it(module, saved_model, tmp_path):
    layers = [hub.ModuleLayer(saved_model, name="restored"), hub.ModuleLayer(module)]
    keras.Sequential([keras.Input((2,)), *layers]).save(tmp_path / "both.keras")
    to_hub(tmp_path / "both.keras", tmp_path / "again")
    np.testing.assert_array_equal(hub.ModuleLayer(tmp_path / "again")(X), 3 * X)
    keras.Sequential([keras.Input((2,)), layers[0]]).save(tmp_path / "one.keras")
    with pytest.raises(hub.ConversionError, match="TF2 SavedModels alone: 'restored'"):
        to_hub(tmp_path / "one.keras", tmp_path / "none")


def test_saved_model_pb_is_read_once(saved_model, monkeypatch):
    """By this package; TensorFlow then reads what was looked at."""
    read = []

    class Noting(tf.io.gfile.GFile):
        def __init__(self, name, mode="r"):
            read.append(name)
            super().__init__(name, mode)

    monkeypatch.setattr(saved_model_file.tf.io.gfile, "GFile", Noting)
    hub.ModuleLayer(saved_model)
    assert read.count(f"{saved_model}/{SAVED_MODEL_FILE}") == 1
