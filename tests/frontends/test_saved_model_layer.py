"""ModuleLayer on TF2 SavedModels."""

import gc
import inspect
import pickle
import shutil
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import hub_keras_bridge as hub
from helpers.comparing import assert_same, tune
from helpers.golden import Golden, golden_names
from helpers.html_reader import Page
from helpers.saved_models import Reusable, dense_model
from hub_keras_bridge.tools.convert.saved_model import to_saved_model

X = np.array([[1.0, 2.0], [3.0, 5.0]], np.float32)


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "saved_model")


@pytest.fixture
def keras_2(folder):
    """A model with regularization and batch statistics, as Keras 2 saves it."""
    model = dense_model(tf_keras)
    model.save(folder)
    return model


@pytest.fixture
def reusable(folder):
    Reusable().save(folder)
    return folder


def fine_tuned(layer):
    model = keras.Sequential([keras.Input((2,)), layer, keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.1), "mse")
    model.fit(X, np.ones((2, 1)), epochs=2, verbose=0)
    return model


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize("name", golden_names("tune"))
def test_tunes_converted_modules_as_the_original_library_tuned_modules(name, tmp_path):
    golden = Golden(name)
    module = hub.load(golden.path, training_tags=golden.tune["tags"])
    tf.saved_model.save(module, str(tmp_path / "tf2"))
    layer = hub.ModuleLayer(tmp_path / "tf2", trainable=True)
    losses, regularization = tune(layer, golden)
    assert len(layer.losses) == golden.tune["regularization_losses"]
    np.testing.assert_allclose(losses, golden.arrays["tune.losses"], rtol=0, atol=2e-5)
    np.testing.assert_allclose(regularization, golden.arrays["tune.reg"], rtol=0, atol=2e-5)
    expected = golden.tuned_variables()
    slices = {}
    for facts in hub.load_module_spec(golden.path).variables:
        slices.setdefault(facts.name, []).append(layer.variable_map[facts.node].numpy())
    for variable, value in expected.items():
        parts = slices[variable]
        joined = np.concatenate(parts) if len(parts) > 1 else parts[0]
        np.testing.assert_allclose(joined, value, rtol=0, atol=1e-5)
    first_inputs, _ = next(golden.batches())
    first_inputs = tf.nest.map_structure(tf.constant, first_inputs)
    assert_same(layer(first_inputs), golden.arrays["tune.eval"])


class TestCalls:
    def test_is_made_by_module_layer(self, reusable):
        layer = hub.ModuleLayer(reusable, name="hub", trainable=True)
        assert type(layer) is hub.ModuleLayer
        assert layer.name == "hub"

    def test_training_only_if_trainable(self, reusable):
        for trainable, added in ((False, 0.0), (True, 100.0)):
            layer = hub.ModuleLayer(reusable, trainable=trainable)
            assert_same(layer(X, training=True), X * np.array([3, 5], np.float32) + added)
            assert_same(layer(X), X * np.array([3, 5], np.float32))
            moved = layer.weights[1].numpy().tolist()
            assert moved == ([2.0, 3.5] if trainable else [0.0, 0.0])

    def test_frozen_weights_stay_in_fit(self, reusable):
        """Though the SavedModel has them among its trainable variables."""
        layer = hub.ModuleLayer(reusable)
        before = layer.get_weights()
        model = fine_tuned(layer)
        for one, other in zip(before, layer.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
        assert len(model.trainable_variables) == len(model.layers[1].weights) == 2
        layer.trainable = True
        assert len(model.trainable_variables) == 3

    def test_weights_and_losses(self, reusable):
        layer = hub.ModuleLayer(reusable, trainable=True)
        assert len(layer.trainable_weights) == 1
        assert [float(loss) for loss in layer.losses] == [8.0]
        layer.trainable_weights[0].assign([1.0, 1.0])
        assert [float(loss) for loss in layer.losses] == [2.0]
        assert_same(layer(X), X)
        layer.trainable = False
        assert layer.losses == layer.trainable_weights == []

    def test_keras_2_numbers(self, keras_2, folder):
        layer = hub.ModuleLayer(folder, trainable=True)
        assert_same(layer(X), keras_2(X).numpy())
        assert_same(layer(X, training=True), keras_2(X, training=True).numpy())
        for mine, theirs in zip(layer.weights, keras_2.weights, strict=True):
            assert_same(mine.value, theirs.numpy())
        assert set(layer.variable_map) == {w.name.removesuffix(":0") for w in keras_2.weights}

    def test_outputs_by_name(self, folder):
        to_saved_model(Golden("multi_io").path, folder, signature="fruit_to_pet")
        golden = Golden("multi_io")
        expected, inputs = golden.outputs(0), golden.inputs(0)
        for key, value in expected.items():
            assert_same(hub.ModuleLayer(folder, output_key=key)(inputs), value)
        found = hub.ModuleLayer(folder, as_dict=True)(inputs)
        assert found.keys() == expected.keys()
        with pytest.raises(hub.SignatureError, match=r"(?s)no output 'cow'.*'cats', 'dogs'"):
            hub.ModuleLayer(folder, output_key="cow")(inputs)

    def test_dict_inputs_in_a_functional_model(self, folder):
        golden = Golden("bert_tiny")
        to_saved_model(golden.path, folder, signature="tokens")
        inputs = golden.inputs(0)
        symbols = {k: keras.Input(v.shape[1:], dtype="int32", name=k) for k, v in inputs.items()}
        outputs = hub.ModuleLayer(folder)(symbols)
        assert outputs.shape == (None, *golden.outputs(0)["default"].shape[1:])
        model = keras.Model(symbols, outputs)
        assert_same(model.predict(inputs, verbose=0), golden.outputs(0)["default"])

    def test_patterns(self, keras_2, folder):
        layer = hub.ModuleLayer(folder, trainable=True, trainable_patterns="kernel$")
        assert [w.name for w in layer.trainable_weights] == ["dense.kernel"]
        layer.trainable = False
        layer.trainable = True
        assert [w.name for w in layer.trainable_weights] == ["dense.kernel"]
        with pytest.raises(hub.TrainingError, match=r"(?s)'bert' matches no.*'dense/kernel'"):
            hub.ModuleLayer(folder, trainable_patterns=["bert"])

    def test_a_pattern_that_is_none(self, keras_2, folder):
        with pytest.raises(hub.TrainingError) as caught:
            hub.ModuleLayer(folder, trainable_patterns="dense(")
        message = str(caught.value)
        assert "Cannot use 'dense(' as one of trainable_patterns." in message
        assert folder in message
        assert "Found: missing ), unterminated subpattern at position 5" in message
        assert "re.escape" in message

    def test_in_a_tf1_graph(self, reusable):
        layer = hub.ModuleLayer(reusable)
        with tf.Graph().as_default():
            with pytest.raises(hub.GraphModeError, match="Cannot use a ModuleLayer in a TF1 gr"):
                hub.ModuleLayer(reusable)
            with pytest.raises(hub.GraphModeError, match="make and call the layer outside"):
                layer(tf.constant(X))


class TestInputs:
    """What is not one dense tensor."""

    APPLES, PEARS = np.float32([[1, 2]]), [[3.0, 4.0, 5.0]]

    @pytest.fixture(
        params=[tf.constant, lambda x: keras.Input(x.shape[1:])], ids=["eager", "Keras"]
    )
    def wrap(self, request):
        return request.param

    def check_mixed(self, layer, first, inputs):
        """Calls the layer with a first input that may be a symbol."""
        found = layer(inputs)
        if isinstance(first, keras.KerasTensor):
            assert found.shape == (1, 5)
            found = keras.Model(first, found)(self.APPLES)
        np.testing.assert_array_equal(found, [[1, 2, 3, 4, 5]])

    def test_a_dict_of_tensors_and_other_values(self, folder, wrap):
        specs = {"apples": tf.TensorSpec([None, 2]), "pears": tf.TensorSpec([None, 3])}

        class Join(tf.Module):
            @tf.function(input_signature=[specs])
            def __call__(self, inputs):
                return tf.concat([inputs["apples"], inputs["pears"]], 1)

        tf.saved_model.save(Join(), folder)
        layer, first = hub.ModuleLayer(folder), wrap(self.APPLES)
        self.check_mixed(layer, first, {"apples": first, "pears": self.PEARS})
        with pytest.raises(hub.InputError, match="Cannot feed input 'pears'"):
            layer({"apples": first, "pears": [["three"]]})
        with pytest.raises(hub.InputError, match=r"(?s)keys 'apples', 'pears'.*Found: 'apples'\n"):
            layer({"apples": first})
        assert layer.compute_output_shape({"apples": (4, 2), "pears": (4, 3)}) == (4, 5)

    def test_a_list_of_tensors_and_other_values(self, folder, wrap):
        symbols = [tf_keras.Input((2,)), tf_keras.Input((3,))]
        tf_keras.Model(symbols, tf_keras.layers.Concatenate()(symbols)).save(folder)
        layer, first = hub.ModuleLayer(folder), wrap(self.APPLES)
        self.check_mixed(layer, first, [first, self.PEARS])
        self.check_mixed(layer, first, (first, np.float32(self.PEARS)))
        with pytest.raises(hub.InputError, match=r"Cannot feed input 'inputs\[1\]'"):
            layer([first, [["three"]]])
        with pytest.raises(hub.InputError, match=r"(?s)Expected: a list of 2 values.*Found: 3 val"):
            layer([first, self.PEARS, self.PEARS])
        assert layer.compute_output_shape([(4, 2), (4, 3)]) == (4, 5)

    def test_ragged(self, folder):
        class Double(tf.Module):
            @tf.function(input_signature=[tf.RaggedTensorSpec([None, None], tf.float32)])
            def __call__(self, x):
                return 2 * x

        tf.saved_model.save(Double(), folder)
        layer = hub.ModuleLayer(folder)
        assert layer(tf.ragged.constant([[1.0], [2.0, 3.0]])).to_list() == [[2], [4, 6]]
        if "ragged" in inspect.signature(keras.Input).parameters:
            symbol = layer(keras.Input((None,), ragged=True))
            assert (symbol.shape, symbol.ragged) == ((None, None), True)

    def test_none_at_all(self, folder):
        class Constant(tf.Module):
            @tf.function(input_signature=[])
            def __call__(self):
                return tf.constant([1.0, 2.0])

        tf.saved_model.save(Constant(), folder)
        assert_same(hub.ModuleLayer(folder)(), np.float32([1, 2]))

    def test_several_arguments_are_called_by_name(self, folder):
        class Sum(tf.Module):
            @tf.function(input_signature=[tf.TensorSpec([None]), tf.TensorSpec([None])])
            def __call__(self, a, b):
                return a + b

        tf.saved_model.save(Sum(), folder)
        assert_same(hub.ModuleLayer(folder)({"a": [1, 2], "b": [3, 4]}), np.float32([4, 6]))

    def test_output_of_unknown_rank(self, folder):
        class Reshape(tf.Module):
            @tf.function(input_signature=[tf.TensorSpec([None])])
            def __call__(self, shape):
                return tf.ones(tf.cast(shape, tf.int32))

        tf.saved_model.save(Reshape(), folder)
        layer = hub.ModuleLayer(folder)
        assert layer([2, 3]).shape == (2, 3)
        with pytest.raises(hub.SignatureError, match=r"in a functional model: its rank is unknown"):
            layer(keras.Input(()))


class TestSaving:
    def test_archive_holds_all(self, keras_2, folder, tmp_path):
        model = fine_tuned(hub.ModuleLayer(folder, trainable=True, name="hub"))
        expected = model.predict(X, verbose=0)
        model.save(tmp_path / "m.keras")
        shutil.rmtree(folder)
        loaded = keras.models.load_model(tmp_path / "m.keras")
        assert_same(loaded.predict(X, verbose=0), expected)
        names = [w.name for w in model.trainable_weights]
        assert [w.name for w in loaded.trainable_weights] == names
        loaded.save(tmp_path / "again.keras")
        del loaded
        again = keras.models.load_model(tmp_path / "again.keras")
        assert_same(again.predict(X, verbose=0), expected)

    def test_training_goes_on_where_it_stopped(self, keras_2, folder, tmp_path):
        """With the optimizer's state, which Keras restores before the SavedModel."""
        model = fine_tuned(hub.ModuleLayer(folder, trainable=True))
        model.save(tmp_path / "m.keras")
        shutil.rmtree(folder)
        loaded = keras.models.load_model(tmp_path / "m.keras")
        for each in (model, loaded):
            each.fit(X, np.ones((2, 1)), epochs=2, verbose=0)
        for one, other in zip(model.weights, loaded.weights, strict=True):
            assert_same(one.value, other.numpy())

    def test_vocabulary_is_inside(self, folder, tmp_path):
        golden = Golden("text_embed")
        to_saved_model(golden.path, folder)
        text = keras.Input((), dtype="string")
        keras.Model(text, hub.ModuleLayer(folder)(text)).save(tmp_path / "m.keras")
        shutil.rmtree(folder)
        model = keras.models.load_model(tmp_path / "m.keras")
        assert model.output_shape == (None, 16)
        assert_same(model(tf.constant(golden.inputs(0))), golden.outputs(0)["default"])
        clone = keras.models.clone_model(model)
        assert_same(clone(tf.constant(golden.inputs(0))), golden.outputs(0)["default"])

    def test_export_after_the_folder_is_gone(self, folder, tmp_path):
        golden = Golden("text_embed")
        to_saved_model(golden.path, folder)
        text = keras.Input((), dtype="string", name="text")
        keras.Model(text, hub.ModuleLayer(folder)(text)).save(tmp_path / "m.keras")
        shutil.rmtree(folder)
        keras.models.load_model(tmp_path / "m.keras").export(str(tmp_path / "exported"))
        exported = tf.saved_model.load(str(tmp_path / "exported"))
        # In Keras 3.10 `serve` of a loaded model takes a list of one; the signature does not.
        serve = exported.signatures["serving_default"]
        (found,) = serve(text=tf.constant(golden.inputs(0))).values()
        assert_same(found, golden.outputs(0)["default"])

    def test_pickle(self, keras_2, folder):
        model = fine_tuned(hub.ModuleLayer(folder, trainable=True))
        copy = pickle.loads(pickle.dumps(model))
        assert_same(copy(X), model(X).numpy())
        copy.layers[0].weights[0].assign(np.zeros((2, 2)))
        assert np.abs(model.layers[0].weights[0].numpy()).max() > 0

    def test_weights_file(self, keras_2, folder, tmp_path):
        model = fine_tuned(hub.ModuleLayer(folder, trainable=True))
        model.save_weights(tmp_path / "m.weights.h5")
        other = keras.Sequential(
            [keras.Input((2,)), hub.ModuleLayer(folder), keras.layers.Dense(1)]
        )
        other.load_weights(tmp_path / "m.weights.h5")
        assert_same(other(X), model(X).numpy())

    def test_weights_are_in_the_archive_once(self, keras_2, folder, tmp_path):
        keras.Sequential([keras.Input((2,)), hub.ModuleLayer(folder)]).save(tmp_path / "m.keras")
        with zipfile.ZipFile(tmp_path / "m.keras") as archive:
            names = archive.namelist()
        assert any(name.endswith("/saved_model.pb") for name in names)
        assert not any("variables/" in name for name in names)

    def test_clone_of_a_loaded_layer_has_its_weights(self, keras_2, folder, tmp_path):
        model = fine_tuned(hub.ModuleLayer(folder, trainable=True))
        model.save(tmp_path / "m.keras")
        shutil.rmtree(folder)
        loaded = keras.models.load_model(tmp_path / "m.keras").layers[0]
        clone = hub.ModuleLayer.from_config(loaded.get_config())
        assert_same(clone(X), model.layers[0](X).numpy())

    def test_state_that_no_weight_holds_is_saved(self, folder, tmp_path):
        """A mutable table, and a variable that is not in the SavedModel's list."""

        class Counted(tf.Module):
            variables = trainable_variables = ()

            def __init__(self):
                super().__init__()
                self.table = tf.lookup.experimental.MutableHashTable(tf.int64, tf.float32, -1.0)
                self.hidden = tf.Variable(100.0)
                self.table.insert(tf.constant([7], tf.int64), tf.constant([5.0]))

            @tf.function(input_signature=[tf.TensorSpec([None], tf.int64)])
            def __call__(self, x):
                return self.table.lookup(x) + self.hidden

        module = Counted()
        module.variables = module.trainable_variables = [tf.Variable(1.0)]
        tf.saved_model.save(module, folder)
        layer = hub.ModuleLayer(folder)
        assert len(layer.weights) == 1
        keras.Sequential([keras.Input((), dtype="int64"), layer]).save(tmp_path / "m.keras")
        shutil.rmtree(folder)
        loaded = keras.models.load_model(tmp_path / "m.keras")
        assert_same(loaded(tf.constant([7, 8], tf.int64)), np.float32([105, 99]))
        del loaded, layer
        gc.collect()
        with (
            zipfile.ZipFile(tmp_path / "m.keras") as archive,
            zipfile.ZipFile(tmp_path / "damaged.keras", "w") as damaged,
        ):
            for name in archive.namelist():
                if "/variables/" not in name:
                    damaged.writestr(name, archive.read(name))
        with pytest.raises(ValueError, match=r"(?s)values are missing.*are no weights"):
            keras.models.load_model(tmp_path / "damaged.keras")

    def test_safe_mode_when_loading(self, folder, tmp_path):
        class Reader(tf.Module):
            @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
            def __call__(self, paths):
                return tf.map_fn(tf.io.read_file, paths)

        tf.saved_model.save(Reader(), folder)
        with pytest.raises(hub.UnsafeModuleError, match="ReadFile"):
            hub.ModuleLayer(folder)
        path = keras.Input((), dtype="string")
        model = keras.Model(path, hub.ModuleLayer(folder, safe_mode=False)(path))
        model.save(tmp_path / "m.keras")
        del model
        shutil.rmtree(folder)
        # Keras collects what a layer raises while it takes its assets.
        with pytest.raises(ValueError, match=r"(?s)Refused .* in safe mode.*ReadFile"):
            keras.models.load_model(tmp_path / "m.keras")
        assert keras.models.load_model(tmp_path / "m.keras", safe_mode=False) is not None

    def test_config_alone(self, reusable):
        config = hub.ModuleLayer(reusable).get_config()
        shutil.rmtree(reusable)
        layer = hub.ModuleLayer.from_config(config)
        assert [w.shape for w in layer.weights] == [(2,), (2,)]
        with pytest.raises(
            hub.HandleError, match="Cannot run a TF2 SavedModel: its graphs are not"
        ):
            layer(X)

    def test_config_finds_the_folder_again(self, reusable):
        config = hub.ModuleLayer(reusable, trainable=True).get_config()
        layer = hub.ModuleLayer.from_config(config)
        assert_same(layer(X, training=True), X * np.array([3, 5], np.float32) + 100)


class TestInNotebooks:
    def test_shows_what_it_may_be_called_for(self, folder):
        symbols = [tf_keras.Input((2,), name="left"), tf_keras.Input((3,), name="right")]
        outputs = tf_keras.layers.Concatenate(name="joined")(symbols)
        tf_keras.Model(symbols, outputs).save(folder)
        page = Page(hub.ModuleLayer(folder, name="joiner")._repr_html_())
        shown = "".join(page.text)
        assert f"ModuleLayer 'joiner', signature '__call__' of '{folder}'" in shown
        assert [table[1:] for table in page.tables] == [
            [
                ["inputs[0]", "input", "float32 [?, 2]"],
                ["inputs[1]", "input", "float32 [?, 3]"],
                ["output", "output", "float32 [?, 5]"],
            ],
            [
                ["left", "input", "float32 [?, 2]"],
                ["right", "input", "float32 [?, 3]"],
                ["joined", "output", "float32 [?, 5]"],
            ],
        ]
        page = Page(hub.ModuleLayer(folder, signature="serving_default")._repr_html_())
        assert ", signature 'serving_default' of '" in "".join(page.text)

    def test_made_from_a_config(self, reusable):
        config = hub.ModuleLayer(reusable).get_config()
        shutil.rmtree(reusable)
        page = Page(hub.ModuleLayer.from_config(config)._repr_html_())
        assert "which is not here" in "".join(page.text)
        assert page.tables == []


def test_training_tags(reusable):
    with pytest.raises(hub.TagsError, match="no variant for training"):
        hub.ModuleLayer(reusable, training_tags={"train"})


def test_stateless_call(reusable):
    layer = hub.ModuleLayer(reusable, trainable=True)
    layer(X)
    with pytest.raises(hub.BackendError, match="stateless form"):
        layer.stateless_call([[9.0, 9.0]], [[0.0, 0.0]], X)
