"""A module inside Keras configs, weight files and archives."""

import copy
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.golden import Golden

WORDS = np.array(["hello world", "the cat", " sat on"], object)


@pytest.fixture
def folder(tmp_path):
    """A module's folder that a test may delete."""
    shutil.copytree(Golden("text_embed").path, tmp_path / "module")
    return tmp_path / "module"


@pytest.fixture
def model(folder):
    model = keras.Sequential(
        [
            keras.Input((), dtype="string"),
            hub.ModuleLayer(folder, trainable=True),
            keras.layers.Dense(3),
        ]
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    fit(model)
    return model


def fit(model, epochs=2):
    return model.fit(tf.constant(WORDS), np.arange(3), epochs=epochs, verbose=0).history["loss"]


def predict(model):
    return model.predict(tf.constant(WORDS), verbose=0)


class TestArchive:
    def test_self_contained_in_a_new_process(self, model, folder, tmp_path):
        expected = predict(model)
        model.save(tmp_path / "m.keras")
        going_on = fit(model)
        shutil.rmtree(folder)
        script = f"""
import keras, numpy as np, tensorflow as tf, hub_keras_bridge
model = keras.models.load_model({str(tmp_path / "m.keras")!r})
words = tf.constant({WORDS.tolist()!r})
np.save({str(tmp_path / "found.npy")!r}, model.predict(words, verbose=0))
loss = model.fit(words, np.arange(3), epochs=2, verbose=0).history["loss"]
np.save({str(tmp_path / "loss.npy")!r}, loss)
model.layers[0].export_module({str(tmp_path / "exported")!r})
"""
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
        np.testing.assert_array_equal(np.load(tmp_path / "found.npy"), expected)
        np.testing.assert_allclose(np.load(tmp_path / "loss.npy"), going_on, rtol=1e-6)
        exported = hub.ModuleLayer(tmp_path / "exported")
        np.testing.assert_allclose(exported(WORDS), model.layers[0](WORDS), atol=1e-6)

    def test_saved_twice(self, model, folder, tmp_path):
        model.save(tmp_path / "one.keras")
        shutil.rmtree(folder)
        again = keras.models.load_model(tmp_path / "one.keras")
        again.save(tmp_path / "two.keras")
        found = predict(keras.models.load_model(tmp_path / "two.keras"))
        np.testing.assert_array_equal(found, predict(model))

    def test_vocabulary_that_is_gone(self, model, folder, tmp_path):
        shutil.rmtree(folder)
        with pytest.raises(hub.ExportError) as caught:
            model.layers[0].export_module(tmp_path / "m")
        assert "its asset 'zoo_vocab_1.txt' is missing" in str(caught.value)
        assert "of a module that was loaded, put the folder back" in str(caught.value)
        assert os.listdir(tmp_path) == []

    def test_leaves_no_file_behind(self, model, tmp_path, monkeypatch):
        (tmp_path / "temp").mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temp"))
        model.save(tmp_path / "m.keras")
        again = keras.models.load_model(tmp_path / "m.keras")
        predict(again)
        assert len(os.listdir(tmp_path / "temp")) == 1
        del again
        keras.backend.clear_session()
        import gc

        gc.collect()
        assert os.listdir(tmp_path / "temp") == []

    def test_shapes_are_known_without_the_graph(self, tmp_path):
        """A Flatten needs more than the signature says."""

        def module_fn():
            x = tf.compat.v1.placeholder(tf.float32, [None, None, 3])
            hub.add_signature(inputs=x, outputs=tf.concat([x, x], 1))

        layer = hub.ModuleLayer(hub.create_module_spec(module_fn))
        model = keras.Sequential(
            [keras.Input((4, 3)), layer, keras.layers.Flatten(), keras.layers.Dense(2)]
        )
        model.save(tmp_path / "m.keras")
        x = np.ones((1, 4, 3), np.float32)
        expected = model.predict(x, verbose=0)
        script = f"""
import keras, numpy as np, hub_keras_bridge
model = keras.models.load_model({str(tmp_path / "m.keras")!r})
assert model.layers[1].output.shape == (None, 24), model.layers[1].output.shape
np.save({str(tmp_path / "found.npy")!r}, model.predict(np.ones((1, 4, 3), np.float32), verbose=0))
"""
        subprocess.run([sys.executable, "-c", script], check=True)
        np.testing.assert_array_equal(np.load(tmp_path / "found.npy"), expected)

    def test_spec_without_a_path(self, scale_spec, tmp_path):
        model = keras.Sequential([keras.Input((2,)), hub.ModuleLayer(scale_spec, trainable=True)])
        model.layers[0].variable_map["scale"].assign([5.0, 7.0])
        model.save(tmp_path / "m.keras")
        again = keras.models.load_model(tmp_path / "m.keras")
        assert again.predict(np.ones((1, 2)), verbose=0).tolist() == [[5, 7]]
        again.layers[0].export_module(tmp_path / "m")
        assert hub.ModuleLayer(tmp_path / "m")([[1, 1]]).numpy().tolist() == [[5, 7]]

    def test_archive_without_weights_does_not_run_initializers(self, scale_spec, tmp_path):
        """Else they would be the one part of a graph that safe mode has not looked at."""
        model = keras.Sequential([keras.Input((2,)), hub.ModuleLayer(scale_spec)])
        model.save(tmp_path / "m.keras")
        with zipfile.ZipFile(tmp_path / "m.keras") as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        config = json.loads(parts["config.json"])
        for layer in config["config"]["layers"]:
            layer.pop("build_config", None)
            layer["config"].pop("build_config", None)
        parts["config.json"] = json.dumps(config)
        del model
        with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
            for name, content in parts.items():
                if name != "model.weights.h5":
                    archive.writestr(name, content)
            with h5py.File(tmp_path / "empty.h5", "w") as file:
                file.create_group("layers")
            archive.write(tmp_path / "empty.h5", "model.weights.h5")
        with pytest.raises(ValueError, match="other variables were saved"):
            keras.models.load_model(tmp_path / "other.keras")

    def test_a_layer_that_was_never_built_keeps_the_published_weights(self, folder, tmp_path):
        layer = hub.ModuleLayer(folder)
        expected = layer(tf.constant(WORDS)).numpy()
        model = keras.Sequential([hub.ModuleLayer(folder)])
        model.save(tmp_path / "m.keras")
        shutil.rmtree(folder)
        loaded = keras.models.load_model(tmp_path / "m.keras")
        np.testing.assert_array_equal(loaded(tf.constant(WORDS)), expected)

    def test_archive_whose_graphs_were_exchanged(self, scale_spec, tmp_path):
        layer = hub.ModuleLayer(scale_spec)
        layer.build()
        (tmp_path / "assets").mkdir()
        hub.ModuleLayer(Golden("mlp_bn").path).save_assets(str(tmp_path / "assets"))
        with pytest.raises(hub.FormatError, match="config and graphs differ"):
            layer.load_assets(str(tmp_path / "assets"))


def test_h5_file_whose_module_is_gone(model, folder, tmp_path):
    expected = predict(model)
    model.save(tmp_path / "model.h5")
    kept = shutil.move(folder, tmp_path / "kept")
    with pytest.raises(hub.HandleError, match=r"an .h5 file or a config holds no module"):
        predict(keras.models.load_model(tmp_path / "model.h5"))
    shutil.move(kept, folder)
    loaded = keras.models.load_model(tmp_path / "model.h5")
    np.testing.assert_allclose(predict(loaded), expected, atol=1e-6)


class TestCopies:
    def test_deepcopy_of_model_and_layer(self, model):
        np.testing.assert_array_equal(predict(copy.deepcopy(model)), predict(model))
        layer = model.layers[0]
        np.testing.assert_array_equal(copy.deepcopy(layer)(WORDS), layer(WORDS))

    def test_pickle(self, model, folder):
        data = pickle.dumps(model)
        shutil.rmtree(folder)
        np.testing.assert_array_equal(predict(pickle.loads(data)), predict(model))

    def test_clone_starts_from_the_published_weights(self, model):
        clone = keras.models.clone_model(model)
        golden = Golden("text_embed")
        found = clone.layers[0](golden.inputs(0))
        np.testing.assert_array_equal(found, golden.outputs(0)["default"])
        clone.set_weights(model.get_weights())
        np.testing.assert_array_equal(predict(clone), predict(model))

    def test_clone_of_a_spec_without_a_path(self, scale_spec):
        model = keras.Sequential([keras.Input((2,)), hub.ModuleLayer(scale_spec)])
        clone = keras.models.clone_model(model)
        assert clone.predict(np.ones((1, 2)), verbose=0).tolist() == [[3, 3]]

    def test_config_is_json_and_rebuilds(self, model):
        layer = model.layers[0]
        config = json.loads(json.dumps(layer.get_config()))
        again = hub.ModuleLayer.from_config(config)
        assert again.get_config() == layer.get_config()
        golden = Golden("text_embed")
        np.testing.assert_array_equal(again(golden.inputs(0)), golden.outputs(0)["default"])

    def test_config_without_its_module(self, tmp_path, folder):
        layer = hub.ModuleLayer(folder)
        config = json.loads(json.dumps(layer.get_config()))
        del layer
        shutil.rmtree(folder)
        again = hub.ModuleLayer.from_config(config)
        with pytest.raises(hub.HandleError) as caught:
            again(WORDS)
        assert "its graphs are not here" in str(caught.value)
        assert str(folder) in str(caught.value)
        advice = "put the module back, or load a .keras file of the model: an .h5 file or a config"
        assert caught.value.advice == f"{advice} holds no module"
        with pytest.raises(hub.HandleError, match="Cannot export"):
            again.export_module(tmp_path / "m")

    def test_all_arguments_travel(self, folder):
        arguments = {
            "signature": "default",
            "as_dict": True,
            "trainable": True,
            "trainable_patterns": ["emb"],
            "tags": [],
            "training_tags": [],
            "safe_mode": True,
            "name": "embed",
        }
        config = hub.ModuleLayer(folder, **arguments).get_config()
        assert {key: config[key] for key in arguments} == arguments


class TestWeightFiles:
    def test_by_tf1_name(self, model, tmp_path):
        model.save_weights(tmp_path / "m.weights.h5")
        clone = keras.models.clone_model(model)
        clone.load_weights(tmp_path / "m.weights.h5")
        np.testing.assert_array_equal(predict(clone), predict(model))

    def test_of_another_module(self, model, scale_spec):
        store = {"scale": np.zeros(2)}
        with pytest.raises(hub.CheckpointError) as caught:
            model.layers[0].load_own_variables(store)
        assert "Found: 'scale'" in str(caught.value)
        assert "'emb/embeddings/part_0'" in str(caught.value)

    def test_of_another_shape(self, scale_spec):
        layer = hub.ModuleLayer(scale_spec)
        layer.build()
        with pytest.raises(hub.CheckpointError, match=r"Found: shape \[3\]"):
            layer.load_own_variables({"scale": np.zeros(3)})


class TestExport:
    def test_saved_model_with_its_vocabulary(self, model, folder, tmp_path):
        model.export(tmp_path / "served", verbose=False)
        shutil.move(tmp_path / "served", tmp_path / "moved")
        shutil.rmtree(folder)
        assert os.listdir(tmp_path / "moved" / "assets") == ["zoo_vocab_1.txt"]
        script = f"""
import numpy as np, tensorflow as tf
served = tf.saved_model.load({str(tmp_path / "moved")!r})
np.save({str(tmp_path / "found.npy")!r}, served.serve(tf.constant({WORDS.tolist()!r})))
"""
        subprocess.run([sys.executable, "-c", script], check=True)
        np.testing.assert_allclose(np.load(tmp_path / "found.npy"), predict(model), atol=1e-6)
