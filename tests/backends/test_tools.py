"""What needs TensorFlow alone works whatever Keras computes with."""

import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.backends import BACKEND, numbers
from helpers.golden import Golden
from hub_keras_bridge.cli import main
from hub_keras_bridge.tools.convert.convert import CONVERSIONS

X = np.float32([[1, 2], [3, 4]])
SCALED = [[3, 6], [9, 12]]


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    """The command line changes it, in a process of its own."""
    monkeypatch.setenv("KERAS_BACKEND", BACKEND)


def test_convert_to_a_saved_model(scale_path, tmp_path):
    CONVERSIONS["savedmodel"](scale_path, tmp_path / "converted")
    found = tf.saved_model.load(str(tmp_path / "converted"))(X)
    np.testing.assert_array_equal(found, SCALED)


def test_convert_a_keras_model_and_back(scale_path, tmp_path):
    CONVERSIONS["keras"](scale_path, tmp_path / "model.keras")
    CONVERSIONS["hub"](tmp_path / "model.keras", tmp_path / "again")
    np.testing.assert_array_equal(hub.load(tmp_path / "again")(X), SCALED)


def test_convert_a_layer_as_it_is_now(scale_spec, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    layer = hub.ModuleLayer(scale_spec)
    layer.build()
    layer.weights[0].assign([5.0, 7.0])
    CONVERSIONS["onnx"](layer, tmp_path / "layer.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "layer.onnx"))
    (found,) = session.run(None, {session.get_inputs()[0].name: X})
    np.testing.assert_allclose(found, [[5, 14], [15, 28]], rtol=1e-6)


def test_compile_text_in_and_out():
    golden = Golden("hyperparams")
    for call in golden.calls():
        entry = golden.oracle["apply"][call]
        if entry["signature"] is None and not entry["tags"]:
            compiled = hub.compile(golden.path, as_dict=True, engine="tensorflow")
            found = compiled(golden.inputs(call))
            for key, expected in golden.outputs(call).items():
                assert found[key].dtype == expected.dtype
                np.testing.assert_array_equal(found[key], expected)


def test_publish_text_embedding(tmp_path):
    (tmp_path / "words.txt").write_text("one 1 2\ntwo 3 4\n")
    hub.publish_text_embedding(tmp_path / "words.txt", tmp_path / "module", num_oov_buckets=0)
    found = hub.ModuleLayer(tmp_path / "module")(["one", "two"])
    np.testing.assert_allclose(numbers(found), [[1, 2], [3, 4]])


def test_apply_gives_what_tensorflow_gives(tmp_path):
    path = Golden("text_embed").path
    (tmp_path / "in.txt").write_text("the cat\n\na dog sat\n")
    line = ["apply", path, "--input", str(tmp_path / "in.txt"), "--output"]
    assert main([*line, str(tmp_path / "out.npy")]) == 0
    expected = hub.load(path)(["the cat", "", "a dog sat"])
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, atol=1e-6)


@pytest.mark.parametrize("command", ["audit", "inspect"])
def test_command_line(command, scale_path):
    assert main([command, scale_path]) == 0
