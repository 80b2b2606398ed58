"""What is told of a conversion before TensorFlow is imported."""

import subprocess
import sys

import pytest

import hub_keras_bridge as hub
from helpers.places import ZOO
from hub_keras_bridge.tools.convert.convert import CONVERSIONS
from hub_keras_bridge.tools.convert.file_kinds import ENGINE_FILES
from hub_keras_bridge.tools.convert.preflight import check_conversion

MODULE = str(ZOO / "mlp_bn" / "module")


def refusal(kind, *args, **kwargs):
    with pytest.raises(hub.HubError) as caught:
        check_conversion(*map(str, args), **kwargs)
    assert isinstance(caught.value, kind)
    return str(caught.value)


@pytest.mark.parametrize("kind", CONVERSIONS)
def test_every_kind(kind, tmp_path):
    target = tmp_path / f"out{ENGINE_FILES[kind].ending if kind in ENGINE_FILES else '.keras'}"
    check_conversion(kind, MODULE, str(target))
    check_conversion(kind, "https://example.org/m", str(target))
    assert f"nothing at {tmp_path}/no" in refusal(hub.HandleError, kind, tmp_path / "no", target)
    target.write_text("mine")
    assert "the target exists" in refusal(hub.ExportError, kind, MODULE, target)


def test_keras_has_an_ending(tmp_path):
    message = refusal(hub.ExportError, "keras", MODULE, tmp_path / "out")
    assert "add .keras to the name" in message
    assert f"In: module {MODULE!r}" in message


@pytest.mark.parametrize(("kind", "ending"), [("onnx", ".onnx"), ("openvino", ".xml")])
def test_files_of_engines(kind, ending, tmp_path, monkeypatch):
    message = refusal(hub.ExportError, kind, MODULE, tmp_path / "out")
    assert f"add {ending} to the name" in message
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    message = refusal(hub.ConversionError, kind, MODULE, tmp_path / f"out{ending}")
    assert "a package is not installed" in message
    assert f"python -m pip install 'hub_keras_bridge[{kind}]'" in message


def test_openvino_writes_two_files(tmp_path):
    (tmp_path / "out.bin").touch()
    message = refusal(hub.ExportError, "openvino", MODULE, tmp_path / "out.xml")
    assert f"no file or non-empty folder at {tmp_path / 'out.bin'}" in message


@pytest.mark.parametrize(
    ("kind", "choice", "told"),
    [
        ("tflite", {"output_key": ["y"]}, "a choice of outputs (output_key=...)"),
        (
            "openvino",
            {"int8": True},
            "weights of 8 bits (int8=True) where it is converted to 'onnx'",
        ),
    ],
)
def test_choices_that_a_kind_has_not(kind, choice, told, tmp_path):
    message = refusal(hub.ConversionError, kind, MODULE, tmp_path / "out.xml", **choice)
    assert told in message
    assert f"Found: {kind!r}" in message


def test_only_hub_takes_a_keras_file(tmp_path):
    file, target = tmp_path / "m.keras", tmp_path / "out"
    assert "there is no such directory" in refusal(hub.HandleError, "hub", file, target)
    file.touch()
    check_conversion("hub", str(file), str(target))
    assert "keras.models.load_model" in refusal(hub.HandleError, "savedmodel", file, target)


@pytest.mark.parametrize("choice", [{"signature": "default"}, {"tags": ["train"]}])
def test_hub_keeps_all(choice, tmp_path):
    message = refusal(hub.ConversionError, "hub", MODULE, tmp_path / "out", **choice)
    assert "a module keeps all its variants and signatures" in message
    check_conversion("tflite", MODULE, str(tmp_path / "out"), **choice)


def test_needs_no_tensorflow(tmp_path):
    code = (
        "import sys, hub_keras_bridge_cli\n"
        "from hub_keras_bridge.tools.convert.preflight import check_conversion\n"
        "check_conversion('savedmodel', *sys.argv[1:])\n"
        "check_conversion('onnx', sys.argv[1], sys.argv[2] + '.onnx')\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code, MODULE, str(tmp_path / "out")], check=True)
