"""Conversions: the numbers stay, the module's folder is needed no more."""

import os
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.comparing import assert_same
from helpers.golden import Golden, golden_names
from helpers.unsafe import publish_unsafe
from hub_keras_bridge.tools.convert.convert import CONVERSIONS
from hub_keras_bridge.tools.convert.file_kinds import ENGINE_FILES
from hub_keras_bridge.tools.convert.hub_module import to_hub
from hub_keras_bridge.tools.convert.keras_model import to_keras
from hub_keras_bridge.tools.convert.saved_model import to_saved_model
from hub_keras_bridge.tools.convert.tflite import to_tflite

v1 = tf.compat.v1

# What an interpreter without the flex delegate runs; TensorFlow's own is one since 2.20.
BUILT_IN = [
    ("convnet", 0),
    ("convnet", 1),
    ("convnet", 2),
    ("functions", 0),
    ("mlp_bn", 1),
    ("multi_io", 0),
    ("variants", 2),
]
FROM_TENSORFLOW = {
    "bert_tiny": {"StridedSlice"},
    "hyperparams": {"Greater", "MatMul", "Mul", "Sub"},
    "rnn": {"TensorListReserve", "TensorListSetItem", "TensorListStack"},
}


def arguments(golden, call):
    entry = golden.oracle["apply"][call]
    return {"tags": entry["tags"], "signature": entry["signature"]}


def signature_inputs(golden, call):
    """The recorded inputs by name, with the signature's dtypes."""
    inputs, chosen = golden.inputs(call), arguments(golden, call)
    infos = hub.load_module_spec(golden.path).get_input_info_dict(**chosen)
    by_name = inputs if isinstance(inputs, dict) else dict.fromkeys(infos, inputs)
    return {key: tf.constant(value, infos[key].dtype).numpy() for key, value in by_name.items()}


def map_constant(inputs):
    return {key: tf.constant(value) for key, value in inputs.items()}


def assert_outputs(found, golden, call):
    expected = golden.outputs(call)
    for key, value in (found if isinstance(found, dict) else {"default": found}).items():
        assert_same(value, expected[key])


class TestSavedModel:
    def test_all_signatures_and_the_one_in_use(self, tmp_path):
        golden = Golden("convnet")
        to_saved_model(golden.path, tmp_path / "out", signature="image_classification")
        converted = tf.saved_model.load(str(tmp_path / "out"))
        spec = hub.load_module_spec(golden.path)
        assert converted.signatures.keys() == {"serving_default", *spec.get_signature_names()}
        inputs = signature_inputs(golden, 1)
        for found in (
            converted(tf.constant(inputs["images"])),
            converted.signatures["serving_default"](**map_constant(inputs)),
            converted.signatures["image_classification"](**map_constant(inputs)),
        ):
            assert_outputs(found, golden, 1)

    def test_vocabulary_is_inside(self, tmp_path):
        golden = Golden("text_embed")
        shutil.copytree(golden.path, tmp_path / "module")
        to_saved_model(tmp_path / "module", tmp_path / "out")
        shutil.rmtree(tmp_path / "module")
        moved = shutil.move(tmp_path / "out", tmp_path / "moved")
        assert len(os.listdir(moved / "assets")) == 1
        found = tf.saved_model.load(str(moved))(tf.constant(golden.inputs(0)))
        assert_outputs(found, golden, 0)


class TestKeras:
    @pytest.mark.parametrize("name", sorted(set(golden_names("apply")) - {"hyperparams"}))
    def test_model_computes_the_same(self, name, tmp_path):
        golden = Golden(name)
        shutil.copytree(golden.path, tmp_path / "module")
        for call in golden.calls():
            file = tmp_path / f"{call}.keras"
            to_keras(tmp_path / "module", file, **arguments(golden, call))
        shutil.rmtree(tmp_path / "module")
        for call in golden.calls():
            model = keras.models.load_model(tmp_path / f"{call}.keras")
            inputs = signature_inputs(golden, call)
            assert [tensor.name for tensor in model.inputs] == list(inputs)
            given = map_constant(inputs)
            assert_outputs(model(given if len(given) > 1 else given.popitem()[1]), golden, call)

    def test_sparse_input(self, tmp_path):
        to_keras(Golden("sparse_ragged").path, tmp_path / "m.keras")
        model = keras.models.load_model(tmp_path / "m.keras")
        (weight,) = model.weights
        found = model(tf.SparseTensor([[0, 1], [1, 8]], [2.0, 3.0], [2, 9]))
        assert_same(found, np.stack([2 * weight.numpy()[1], 3 * weight.numpy()[8]]))

    def test_can_be_fine_tuned(self, scale_path, tmp_path):
        to_keras(scale_path, tmp_path / "m.keras")
        model = keras.models.load_model(tmp_path / "m.keras")
        model.layers[-1].trainable = True
        model.compile(keras.optimizers.SGD(0.5), "mse")
        model.fit(np.ones((1, 2)), np.zeros((1, 2)), verbose=0)
        assert_same(model.weights[0], np.full(2, 1.5, np.float32))

    def test_scalar_input_is_refused(self, tmp_path):
        with pytest.raises(hub.ConversionError, match=r"(?s)input '\w+' does not fit.*Found: "):
            to_keras(Golden("hyperparams").path, tmp_path / "m.keras")
        assert os.listdir(tmp_path) == []

    def test_ragged_input_is_refused(self, tmp_path):
        with pytest.raises(hub.ConversionError, match="Found: ragged int64"):
            to_keras(Golden("sparse_ragged").path, tmp_path / "m.keras", signature="ragged")

    def test_signature_without_inputs_is_refused(self, tmp_path):
        spec = hub.create_module_spec(lambda: hub.add_signature(outputs=tf.constant(1.0)))
        with pytest.raises(hub.ConversionError, match="the signature has no input"):
            to_keras(spec, tmp_path / "m.keras")

    def test_other_ending(self, scale_spec, tmp_path):
        with pytest.raises(hub.ExportError, match=r"Expected: a file name that ends in \.keras"):
            to_keras(scale_spec, tmp_path / "m.h5")


@pytest.mark.filterwarnings("ignore::UserWarning:tensorflow.lite")
class TestTensorFlowLite:
    @pytest.mark.parametrize(("name", "call"), BUILT_IN)
    def test_interpreter_computes_the_same(self, name, call, tmp_path):
        golden, file = Golden(name), tmp_path / "m.tflite"
        assert to_tflite(golden.path, file, **arguments(golden, call)) == []
        interpreter = tf.lite.Interpreter(str(file))
        run = interpreter.get_signature_runner(arguments(golden, call)["signature"] or "default")
        found = run(**signature_inputs(golden, call))
        assert found.keys() == golden.outputs(call).keys()
        assert_outputs(found, golden, call)

    @pytest.mark.parametrize("name", FROM_TENSORFLOW)
    def test_names_the_ops_that_it_takes_from_tensorflow(self, name, tmp_path):
        golden = Golden(name)
        found = to_tflite(golden.path, tmp_path / "m.tflite", **arguments(golden, 0))
        assert set(found) == FROM_TENSORFLOW[name]

    def test_vocabulary_is_inside(self, publish, tmp_path):
        """In the model itself, which is a single file."""

        def table_fn():
            words = v1.placeholder(tf.string, [None])
            initializer = tf.lookup.TextFileInitializer(
                str(tmp_path / "words.txt"),
                *(tf.string, tf.lookup.TextFileIndex.WHOLE_LINE),
                *(tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER),
            )
            table = tf.lookup.StaticHashTable(initializer, default_value=-1)
            hub.add_signature(inputs={"words": words}, outputs=table.lookup(words))

        (tmp_path / "words.txt").write_text("cat\ndog\n")
        path = publish(table_fn)
        assert to_tflite(path, tmp_path / "m.tflite") == []
        shutil.rmtree(path)
        run = tf.lite.Interpreter(str(tmp_path / "m.tflite")).get_signature_runner("default")
        found = run(words=np.array([b"dog", b"cow", b"cat"]))["default"]
        assert found.tolist() == [1, -1, 0]

    def test_op_that_neither_has(self, tmp_path):
        def parsing_fn():
            x = v1.placeholder(tf.string, [])
            hub.add_signature(inputs=x, outputs=tf.io.parse_tensor(x, tf.float32))

        spec = hub.create_module_spec(parsing_fn)
        with pytest.raises(hub.ConversionError, match=r"(?s)signature 'default'.*'ParseTensor'"):
            to_tflite(spec, tmp_path / "m.tflite")
        assert os.listdir(tmp_path) == []


class TestHub:
    def test_copy_of_a_module(self, tmp_path):
        golden = Golden("text_embed")
        to_hub(golden.path, tmp_path / "copy")
        before, after = (hub.load_module_spec(p) for p in (golden.path, tmp_path / "copy"))
        assert after.get_tags() == before.get_tags()
        assert_outputs(hub.ModuleLayer(tmp_path / "copy")(golden.inputs(0)), golden, 0)

    def test_module_in_a_keras_model(self, scale_path, tmp_path):
        layer = hub.ModuleLayer(scale_path, trainable=True)
        model = keras.Sequential([keras.Input((2,)), layer, keras.layers.Dense(1)])
        layer.variable_map["scale"].assign([7.0, 8.0])
        model.save(tmp_path / "m.keras")
        shutil.rmtree(scale_path)
        to_hub(tmp_path / "m.keras", tmp_path / "out")
        found = hub.ModuleLayer(tmp_path / "out")([[1.0, 1.0]])
        assert_same(found, np.array([[7.0, 8.0]], np.float32))

    def test_there_and_back(self, tmp_path):
        golden = Golden("convnet")
        to_keras(golden.path, tmp_path / "m.keras")
        to_hub(tmp_path / "m.keras", tmp_path / "back")
        before, after = (hub.load_module_spec(p) for p in (golden.path, tmp_path / "back"))
        assert after.get_signature_names() == before.get_signature_names()
        assert_outputs(hub.ModuleLayer(tmp_path / "back")(golden.inputs(0)), golden, 0)

    def test_keras_model_without_a_module(self, tmp_path):
        keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "m.keras")
        with pytest.raises(
            hub.ConversionError, match=r"(?s)Expected: one ModuleLayer.*Found: none"
        ):
            to_hub(tmp_path / "m.keras", tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_keras_model_with_two_modules(self, scale_spec, tmp_path):
        layers = [hub.ModuleLayer(scale_spec, name=name) for name in ("one", "two")]
        keras.Sequential([keras.Input((2,)), *layers]).save(tmp_path / "m.keras")
        with pytest.raises(hub.ConversionError, match="Found: 2: 'one', 'two'"):
            to_hub(tmp_path / "m.keras", tmp_path / "out")

    def test_no_keras_model(self, tmp_path):
        (tmp_path / "m.keras").write_text("hello")
        with pytest.raises(hub.FormatError, match="Cannot read a Keras model"):
            to_hub(tmp_path / "m.keras", tmp_path / "out")

    def test_keeps_all(self, scale_spec, tmp_path):
        with pytest.raises(hub.ConversionError, match="neither a signature nor tags"):
            to_hub(scale_spec, tmp_path / "out", signature="default")


class TestEveryKind:
    @pytest.fixture(params=CONVERSIONS)
    def kind(self, request):
        return request.param

    @pytest.fixture
    def target(self, kind, tmp_path):
        endings = {"keras": ".keras", "tflite": ".tflite", "onnx": ".onnx", "openvino": ".xml"}
        return tmp_path / f"out{endings.get(kind, '')}"

    def test_never_overwrites(self, kind, target, scale_path):
        target.write_text("mine")
        with pytest.raises(hub.ExportError, match="the target exists"):
            CONVERSIONS[kind](scale_path, target)
        assert target.read_text() == "mine"

    def test_leaves_nothing_behind(self, kind, target, tmp_path):
        path = publish_unsafe(tmp_path)
        before = sorted(os.listdir(tmp_path))
        with pytest.raises(hub.UnsafeModuleError, match="ReadFile"):
            CONVERSIONS[kind](path, target)
        assert sorted(os.listdir(tmp_path)) == before

    def test_unsafe_when_told_so(self, kind, target, tmp_path):
        path = publish_unsafe(tmp_path)
        if kind in ENGINE_FILES:
            with pytest.raises(hub.ConversionError, match="'ReadFile'"):
                CONVERSIONS[kind](path, target, safe_mode=False)
            return
        CONVERSIONS[kind](path, target, safe_mode=False)
        assert target.exists()

    def test_makes_the_folders_above(self, kind, target, scale_path):
        deep = target.parent / "a" / "b" / target.name
        CONVERSIONS[kind](scale_path, deep)
        assert deep.exists()
        made = ENGINE_FILES[kind].files(deep) if kind in ENGINE_FILES else [str(deep)]
        assert {str(path) for path in deep.parent.iterdir()} == set(made)

    def test_readable_as_others_are(self, kind, target, scale_path):
        CONVERSIONS[kind](scale_path, target)
        plain = target.parent / "plain"
        plain.mkdir() if target.is_dir() else plain.touch()
        assert target.stat().st_mode == plain.stat().st_mode
