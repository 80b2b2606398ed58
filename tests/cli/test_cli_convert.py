"""hub-keras-bridge convert."""

import os
import re
import subprocess
import sys

import keras
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.golden import Golden
from helpers.unsafe import publish_unsafe
from hub_keras_bridge.cli import main
from hub_keras_bridge.cli.convert import _KINDS
from hub_keras_bridge.tools.convert.convert import CONVERSIONS


def test_kinds_are_those_there_are():
    assert _KINDS.keys() == CONVERSIONS.keys()


def test_savedmodel(scale_path, tmp_path, capsys):
    out = str(tmp_path / "out")
    assert main(["convert", scale_path, out, "--to", "savedmodel"]) == 0
    assert capsys.readouterr().out == f"savedmodel: {out}\n"
    assert tf.saved_model.load(out)(tf.constant([[1.0, 2.0]])).numpy().tolist() == [[3.0, 6.0]]


def test_keras_of_another_signature_and_variant(tmp_path):
    out = str(tmp_path / "out.keras")
    chosen = ["--signature", "image_classification", "--tags", "train"]
    assert main(["convert", Golden("convnet").path, out, "--to", "keras", *chosen]) == 0
    layer = keras.models.load_model(out).layers[-1]
    assert layer.get_config()["signature"] == "image_classification"
    assert layer.get_config()["tags"] == ["train"]


def test_only_signature_is_taken_and_told(tmp_path, capsys):
    out = str(tmp_path / "out")
    assert main(["convert", Golden("bert_tiny").path, out, "--to", "savedmodel"]) == 0
    told = capsys.readouterr()
    assert told.out == f"savedmodel: {out}\n"
    assert told.err == "Takes the only signature there is, 'tokens'.\n"
    assert "tokens" in tf.saved_model.load(out).signatures


def test_several_signatures_without_default(tmp_path, capsys):
    def module_fn():
        x = tf.compat.v1.placeholder(tf.float32, [None])
        hub.add_signature("one", inputs=x, outputs=x)
        hub.add_signature("two", inputs=x, outputs=2 * x)

    module = str(tmp_path / "module")
    hub.create_module_spec(module_fn).export(module)
    assert main(["convert", module, str(tmp_path / "out"), "--to", "tflite"]) == 1
    told = capsys.readouterr().err
    assert "has no signature 'default'. In module " in told
    assert "expected one of 'one', 'two'; found 'default'" in told
    assert told.endswith("What to do: pass --signature with a name from this list.\n")


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
def test_tflite_says_what_it_took_from_tensorflow(tmp_path, capsys):
    out = str(tmp_path / "out.tflite")
    assert main(["convert", Golden("rnn").path, out, "--to", "tflite"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[:2] == [
        f"tflite: {out}",
        "  needs select TF ops: TensorListReserve, TensorListSetItem, TensorListStack",
    ]
    try:
        tf.lite.Interpreter(model_path=out).allocate_tensors()
    except RuntimeError:
        assert told[2].startswith(f"  the interpreter of TensorFlow {tf.__version__} in Python")
        assert told[3].startswith("  lacks them, and cannot run the file")
    else:
        assert told[2:] == []


def test_onnx_says_what_is_in_the_file(tmp_path, capsys):
    pytest.importorskip("tf2onnx")
    out = str(tmp_path / "out.onnx")
    chosen = ["--to", "onnx", "--signature", "fruit_to_pet", "--output-key", "dogs", "--int8"]
    assert main(["convert", Golden("multi_io").path, out, *chosen]) == 0
    *lines, difference = capsys.readouterr().out.splitlines()
    assert lines == [
        f"onnx: {out}",
        "  input apples: float32 [?, 4]",
        "  input oranges: float32 [?, 6]",
        "  output dogs: int64 [?]",
    ]
    assert re.fullmatch(
        r"  with weights of 8 bits, outputs differ from TensorFlow's by \S+ of the largest number",
        difference,
    )


def test_openvino_of_a_saved_model(tmp_path, capsys):
    pytest.importorskip("openvino")
    module = tf.Module()
    spec = tf.TensorSpec([None, 2], tf.float32, name="x")
    module.serve = tf.function(lambda x: {"y": 2 * x}, input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path / "saved"), module.serve)
    out = str(tmp_path / "out.xml")
    chosen = ["--to", "openvino", "--signature", "serving_default"]
    assert main(["convert", str(tmp_path / "saved"), out, *chosen]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"openvino: {out}",
        "  input x: float32 [?, 2]",
        "  output y: float32 [?, 2]",
        "  outputs differ from TensorFlow's by 0 of the largest number",
    ]
    assert (tmp_path / "out.bin").exists()


def test_text_for_an_engine(tmp_path, capsys):
    pytest.importorskip("tf2onnx")

    def labels():
        x = tf.compat.v1.placeholder(tf.float32, [None])
        hub.add_signature(inputs=x, outputs={"label": tf.strings.as_string(x), "score": 2 * x})

    module = str(tmp_path / "module")
    hub.create_module_spec(labels).export(module)
    assert main(["convert", module, str(tmp_path / "out.onnx"), "--to", "onnx"]) == 1
    assert "choose of the outputs 'score' with --output-key" in capsys.readouterr().err


def test_hub_from_keras(scale_path, tmp_path):
    keras_file, out = str(tmp_path / "m.keras"), str(tmp_path / "out")
    assert main(["convert", scale_path, keras_file, "--to", "keras"]) == 0
    assert main(["convert", keras_file, out, "--to", "hub"]) == 0
    assert hub.load(out)([[1.0, 2.0]]).numpy().tolist() == [[3.0, 6.0]]


def test_unsafe(tmp_path, capsys):
    path, out = str(publish_unsafe(tmp_path)), str(tmp_path / "out")
    assert main(["convert", path, out, "--to", "savedmodel"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("hub-keras-bridge convert: Refused a TF1 Hub module in safe mode")
    assert "ReadFile" in told
    assert os.listdir(tmp_path) == ["unsafe"]
    assert main(["convert", path, out, "--to", "savedmodel", "--unsafe"]) == 0


def test_taken_target(scale_path, tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    assert main(["convert", scale_path, str(tmp_path / "out"), "--to", "tflite"]) == 1
    assert "the target exists" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["a", "b"], ["a", "--to", "keras"], ["a", "b", "--to", "onyx"]])
def test_wrong_usage(argv, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["convert", *argv])
    assert exit_.value.code == 2


def test_help_needs_no_tensorflow():
    code = (
        "import sys\n"
        "from hub_keras_bridge_cli import main\n"
        "try:\n"
        "    main(['convert', '--help'])\n"
        "finally:\n"
        "    print('imported', 'tensorflow' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--signature NAME" in done.stdout
    assert all(what in done.stdout for what in _KINDS.values())
    assert done.stdout.endswith("imported False\n")
