"""What is told of a conversion before TensorFlow is imported."""

import subprocess
import sys

import pytest

import hub_keras_bridge as hub
from helpers.places import ZOO
from hub_keras_bridge.tools.convert.convert import CONVERSIONS
from hub_keras_bridge.tools.convert.preflight import check_conversion

MODULE = str(ZOO / "mlp_bn" / "module")


def refusal(kind, *args, **kwargs):
    with pytest.raises(hub.HubError) as caught:
        check_conversion(*map(str, args), **kwargs)
    assert isinstance(caught.value, kind)
    return str(caught.value)


@pytest.mark.parametrize("kind", CONVERSIONS)
def test_every_kind(kind, tmp_path):
    target = tmp_path / "out.keras"
    check_conversion(kind, MODULE, str(target))
    check_conversion(kind, "https://example.org/m", str(target))
    assert f"nothing at {tmp_path}/no" in refusal(hub.HandleError, kind, tmp_path / "no", target)
    target.write_text("mine")
    assert "the target exists" in refusal(hub.ExportError, kind, MODULE, target)


def test_keras_has_an_ending(tmp_path):
    message = refusal(hub.ExportError, "keras", MODULE, tmp_path / "out")
    assert "add .keras to the name" in message
    assert f"In: module {MODULE!r}" in message


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
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code, MODULE, str(tmp_path / "out")], check=True)
