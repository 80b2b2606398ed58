"""What code for the original library asks for, and is told."""

import keras
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from hub_keras_bridge.old_names import SUCCESSORS


@pytest.mark.parametrize("name", SUCCESSORS)
def test_names_that_have_a_successor(name):
    with pytest.raises(AttributeError) as caught:
        getattr(hub, name)
    assert str(caught.value) == (
        f"module 'hub_keras_bridge' has no attribute {name!r}; use {SUCCESSORS[name]}, "
        "see docs/migration.md"
    )
    assert not hasattr(hub, name)


def test_successors_are_there():
    """The names of this package, of Keras and of TensorFlow in the texts."""
    known = {"hub": hub, "keras": keras, "tf": tf}
    for text in SUCCESSORS.values():
        for word in text.replace("(", " ").split():
            if word.partition(".")[0] in known:
                assert callable(eval(word, known)), word


def test_other_names():
    with pytest.raises(AttributeError) as caught:
        hub.ModuleLayr  # noqa: B018
    assert str(caught.value).startswith("module 'hub_keras_bridge' has no attribute 'ModuleLayr'")
    assert "migration" not in str(caught.value)


DTYPE = "leave dtype out: the signature has those of the inputs; begin the model with keras.Input, "


@pytest.mark.parametrize("dtype", [tf.string, "string", "int32", "bool"])
def test_dtype_of_the_inputs(scale_path, dtype):
    with pytest.raises(hub.InputError) as caught:
        hub.ModuleLayer(scale_path, dtype=dtype)
    assert caught.value.found == f"dtype={tf.as_dtype(dtype).name!r}"
    assert caught.value.subject.module == scale_path
    assert caught.value.advice == DTYPE + 'such as keras.Input((), dtype="string") for text'


def test_dtype_of_the_inputs_of_a_saved_model(scale_path, tmp_path):
    tf.saved_model.save(hub.load(scale_path), tmp_path / "saved")
    with pytest.raises(hub.InputError, match="leave dtype out") as caught:
        hub.ModuleLayer(tmp_path / "saved", dtype=tf.string)
    assert caught.value.subject.module == str(tmp_path / "saved")
    assert hub.ModuleLayer(tmp_path / "saved", dtype="float16")([[1.0, 2.0]]).dtype == tf.float16


@pytest.mark.parametrize(
    ("dtype", "returned"),
    [("float32", "float32"), ("float64", "float64"), ("mixed_bfloat16", "bfloat16")],
)
def test_dtypes_to_return(scale_path, dtype, returned):
    assert hub.ModuleLayer(scale_path, dtype=dtype)([[1.0, 2.0]]).dtype == returned


@pytest.mark.parametrize("argument", ["output_shape", "arguments", "load_options"])
def test_arguments_that_are_gone(scale_path, argument):
    """Keras names them."""
    with pytest.raises(ValueError, match=f"passed to ModuleLayer: .*'{argument}'"):
        hub.ModuleLayer(scale_path, **{argument: None})
