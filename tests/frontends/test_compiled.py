"""hub.compile: the numbers of the original library, by whichever engine."""

import concurrent.futures
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.comparing import assert_same
from helpers.golden import Golden, golden_names
from helpers.saved_models import Reusable, dense_model

v1 = tf.compat.v1
OTHERS = ["xla", "onnxruntime", "openvino"]


def scaled():
    x = v1.placeholder(tf.float32, [None, 2])
    scale = v1.get_variable("scale", initializer=[[3.0, 5.0]])
    hub.add_signature(inputs=x, outputs=x * scale)


def lookup():
    """Words, their numbers, a network on these, and a word again."""
    words = v1.placeholder(tf.string, [None])
    rows = v1.get_variable("rows", initializer=tf.eye(3))
    following = v1.get_variable("following", initializer=tf.roll(tf.eye(3), 1, 1))
    keys = tf.constant(["cat", "dog", "eel"])
    numbers = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(keys, tf.range(3, dtype=tf.int64)), -1
    )
    names = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(tf.range(3, dtype=tf.int64), keys), "?"
    )
    found = numbers.lookup(words)
    with tf.control_dependencies([v1.debugging.assert_non_negative(found, message="not a word")]):
        scores = tf.matmul(tf.gather(rows, found), following)
    best = names.lookup(tf.argmax(scores, 1))
    hub.add_signature(inputs=words, outputs={"default": scores, "best": best, "words": words})


@pytest.mark.parametrize("name", golden_names("apply"))
def test_numbers_of_the_original_library(name):
    golden = Golden(name)
    for call in golden.calls():
        entry = golden.oracle["apply"][call]
        compiled = hub.compile(
            golden.path,
            signature=entry["signature"],
            tags=entry["tags"],
            as_dict=True,
            engine="tensorflow",
        )
        found, expected = compiled(golden.inputs(call)), golden.outputs(call)
        assert found.keys() == expected.keys()
        for key, value in found.items():
            assert isinstance(value, np.ndarray)
            assert_same(value, expected[key])


@pytest.mark.parametrize("engine", OTHERS)
@pytest.mark.parametrize("name", ["convnet", "bert_tiny", "mlp_bn", "multi_io", "ref_vars"])
def test_numbers_by_other_engines(name, engine):
    golden = Golden(name)
    entry = golden.oracle["apply"][0]
    compiled = hub.compile(golden.path, signature=entry["signature"], as_dict=True, engine=engine)
    assert compiled.engines == (engine,)
    for key, value in compiled(golden.inputs(0)).items():
        np.testing.assert_allclose(value, golden.outputs(0)[key], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("engine", ["xla", "openvino"])
def test_loops_that_fill_lists(engine):
    golden = Golden("rnn")
    for call in golden.calls():
        compiled = hub.compile(
            golden.path, as_dict=True, engine=engine, examples=golden.inputs(call)
        )
        for key, value in compiled(golden.inputs(call)).items():
            np.testing.assert_allclose(value, golden.outputs(call)[key], rtol=1e-5, atol=1e-6)


class TestText:
    @pytest.mark.parametrize("engine", ["tensorflow", *OTHERS])
    def test_strings_stay_in_tensorflow(self, engine):
        words = np.array([b"dog", b"cat"], object)
        compiled = hub.compile(
            hub.create_module_spec(lookup), as_dict=True, engine=engine, examples=words
        )
        assert compiled.engines == (engine,)
        for given in (["dog", "cat"], np.array(["dog", "cat"], object), words.astype("S")):
            found = compiled(given)
            assert found["default"].tolist() == [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
            assert found["best"].tolist() == [b"eel", b"dog"]
            assert found["words"].tolist() == words.tolist()

    def test_text_that_is_none(self):
        compiled = hub.compile(hub.create_module_spec(lookup), engine="tensorflow")
        for wrong in (np.array(["\ud800"], object), np.array([3], object), [None]):
            with pytest.raises(hub.InputError, match="Cannot feed input 'default'"):
                compiled(wrong)

    def test_assertions_hold(self):
        words = np.array([b"dog", b"cat"], object)
        compiled = hub.compile(hub.create_module_spec(lookup), engine="xla", examples=words)
        with pytest.raises(tf.errors.InvalidArgumentError, match="not a word"):
            compiled(["cow"])

    def test_golden_text(self):
        golden = Golden("text_embed")
        compiled = hub.compile(golden.path, engine="auto", examples=golden.inputs(0))
        assert_same(compiled(golden.inputs(0)), golden.outputs(0)["default"])


class TestSnapshots:
    def test_of_a_layer(self):
        layer = hub.ModuleLayer(hub.create_module_spec(scaled), trainable=True)
        compiled = hub.compile(layer, engine="xla")
        layer.weights[0].assign([[7.0, 7.0]])
        assert compiled([[1.0, 1.0]]).tolist() == [[3.0, 5.0]]
        assert hub.compile(layer, engine="xla")([[1.0, 1.0]]).tolist() == [[7.0, 7.0]]

    def test_of_a_layer_and_another_output(self):
        golden = Golden("bert_tiny")
        layer = hub.ModuleLayer(golden.path, signature="tokens")
        compiled = hub.compile(
            layer, signature="tokens", output_key="sequence_output", engine="tensorflow"
        )
        assert_same(compiled(**golden.inputs(0)), golden.outputs(0)["sequence_output"])

    def test_of_a_layer_without_graphs(self, tmp_path):
        path = tmp_path / "module"
        hub.ModuleLayer(hub.create_module_spec(scaled)).export_module(path)
        config = hub.ModuleLayer(path).get_config()
        shutil.rmtree(path)
        with pytest.raises(hub.HandleError, match="Cannot compile a TF1 Hub module: its graphs"):
            hub.compile(hub.ModuleLayer.from_config(config))

    def test_calls_that_write_variables(self):
        def counting():
            x = v1.placeholder(tf.float32, [None])
            count = v1.get_variable("count", initializer=0.0, use_resource=True)
            with tf.control_dependencies([count.assign_add(1.0)]):
                hub.add_signature(inputs=x, outputs=x + count.read_value())

        with pytest.raises(hub.ConversionError, match="writes its variables") as caught:
            hub.compile(hub.create_module_spec(counting))
        assert "'count'" in caught.value.found


class TestSavedModels:
    @pytest.mark.parametrize("engine", ["tensorflow", *OTHERS])
    def test_numbers(self, engine, tmp_path):
        Reusable().save(str(tmp_path))
        compiled = hub.compile(str(tmp_path), engine=engine)
        assert compiled([[1.0, 2.0], [3.0, 4.0]]).tolist() == [[3.0, 10.0], [9.0, 20.0]]

    def test_of_keras(self, tmp_path):
        model = dense_model(keras)
        model.export(tmp_path, verbose=False)
        x = np.random.default_rng(0).random((3, 2)).astype(np.float32)
        compiled = hub.compile(str(tmp_path), engine="onnxruntime")
        np.testing.assert_allclose(compiled(x), model(x), rtol=1e-6)

    def test_with_a_table(self, tmp_path):
        model = hub.load(hub.create_module_spec(lookup))
        tf.saved_model.save(model, str(tmp_path))
        words = np.array([b"dog"], object)
        compiled = hub.compile(str(tmp_path), engine="xla", examples=words)
        assert compiled(["eel"]).tolist() == [[1.0, 0.0, 0.0]]


class TestInputs:
    def test_what_a_call_takes(self):
        compiled = hub.compile(
            Golden("multi_io").path, signature="fruit_to_pet", as_dict=True, engine="tensorflow"
        )
        golden = Golden("multi_io")
        inputs = golden.inputs(0)
        for given in (
            inputs,
            {k: v.tolist() for k, v in inputs.items()},
            {k: tf.constant(v) for k, v in reversed(inputs.items())},
        ):
            for found in (compiled(given), compiled(**given)):
                for key, value in golden.outputs(0).items():
                    assert_same(found[key], value)

    def test_misfits(self):
        compiled = hub.compile(hub.create_module_spec(scaled), engine="xla")
        with pytest.raises(hub.InputError, match="Cannot feed input 'default'"):
            compiled([[1.0, 2.0, 3.0]])
        with pytest.raises(hub.InputError, match="inputs of two kinds"):
            compiled([[1.0, 2.0]], default=[[1.0, 2.0]])
        with pytest.raises(hub.InputError, match="without a value"):
            tf.function(compiled)(tf.ones([1, 2]))

    def test_arrays_that_are_not_contiguous(self):
        x = np.arange(8, dtype=np.float32).reshape(2, 4)
        for engine in OTHERS:
            compiled = hub.compile(hub.create_module_spec(scaled), engine=engine)
            np.testing.assert_array_equal(compiled(x.T), x.T * np.float32([3, 5]))
            assert compiled(x[:0, :2]).shape == (0, 2)

    def test_sparse_and_ragged(self):
        golden = Golden("sparse_ragged")
        spec = hub.load_module_spec(golden.path)
        for signature in spec.get_signature_names():
            layer = hub.ModuleLayer(spec, signature=signature, as_dict=True)
            infos = spec.get_input_info_dict(signature)
            given = {name: _some(info) for name, info in infos.items()}
            compiled = hub.compile(spec, signature=signature, as_dict=True, engine="tensorflow")
            pairs = zip(*(flat(run(given)) for run in (compiled, layer)), strict=True)
            for found, expected in pairs:
                np.testing.assert_array_equal(found, expected)
            with pytest.raises(hub.InputError, match="Cannot make up inputs"):
                hub.compile(spec, signature=signature, as_dict=True)

    @pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
    def test_threads(self, engine):
        compiled = hub.compile(Golden("convnet").path, engine=engine)
        golden = Golden("convnet")
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for found in pool.map(compiled, [golden.inputs(0)] * 32):
                np.testing.assert_allclose(
                    found, golden.outputs(0)["default"], rtol=1e-5, atol=1e-6
                )


def flat(outputs):
    return tf.nest.flatten(outputs, expand_composites=True)


def _some(info):
    if info.is_sparse:
        return tf.sparse.from_dense(tf.one_hot([2, 0], info.get_shape()[-1], dtype=info.dtype))
    if info.is_composite:
        return tf.cast(tf.ragged.constant([[1, 2], [3]]), info.dtype)
    return tf.ones([2 if d is None else d for d in info.get_shape()], info.dtype)
