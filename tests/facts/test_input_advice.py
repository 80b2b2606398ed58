"""What errors advise: what they tell to write is written, and works."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.golden import Golden
from hub_keras_bridge.errors import Subject
from hub_keras_bridge.facts.feeding import Slot
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo

v1 = tf.compat.v1


def dense(dtype, shape=(None,)):
    return ParsedTensorInfo(tf.TensorSpec(shape, dtype), ("x:0",))


def convert(value, info):
    return Slot("x", info, Subject()).tensors(value)


NUMBERS = "this input takes numbers; to read them from text: "
REAL = "this input takes real numbers; to leave the imaginary part out: "
CONVERT = "convert it, where nothing is lost by it: "
CHANGE = "convert it, if the values may change: "


@pytest.mark.parametrize(
    ("value", "dtype", "advice"),
    [
        (tf.constant([0.1], tf.float64), tf.float32, f'{CHANGE}keras.ops.cast(value, "float32")'),
        ([1.0], tf.int32, f"{CONVERT}tf.cast(value, tf.int32)"),
        (np.array([1.5]), tf.int32, f'{CHANGE}array.astype("int32")'),
        (tf.constant(["1"]), tf.float32, f"{NUMBERS}tf.strings.to_number(value, tf.float32)"),
        (np.array(["1"]), tf.int64, f"{NUMBERS}tf.strings.to_number(value, tf.int64)"),
        (["1"], tf.uint8, f"{NUMBERS}tf.cast(tf.strings.to_number(value), tf.uint8)"),
        (np.array(["1"], object), tf.int32, f"{NUMBERS}tf.strings.to_number(value, tf.int32)"),
        ([1], tf.string, "this input takes text: tf.as_string(value)"),
        (tf.constant([1.5]), tf.string, "this input takes text: tf.as_string(value)"),
        (np.array([1j]), tf.float64, f"{REAL}tf.math.real(value)"),
        (np.array([1j]), tf.float32, f"{REAL}tf.cast(tf.math.real(value), tf.float32)"),
    ],
)
def test_advice_on_dtypes_works(value, dtype, advice):
    with pytest.raises(hub.InputError) as caught:
        convert(value, dense(dtype))
    assert caught.value.advice == advice
    code = advice.partition(": ")[2]
    (found,) = convert(
        eval(code, {"tf": tf, "keras": keras, "value": value, "array": value}), dense(dtype)
    )
    assert found.dtype == dtype


@pytest.mark.parametrize(
    ("value", "expected", "advice"),
    [
        ([1.0, 2.0], (None, 2), "value[None]"),
        (np.ones([2]), (None, 2), "value[None]"),
        (tf.ones([3, 2, 1]), (None, 2), "tf.squeeze(value, 2)"),
        (np.ones([3, 1, 2], np.float32), (None, 2), "tf.squeeze(value, 1)"),
        (np.ones([2, 8, 8, 3]), (None, 16, 12, 3), "keras.layers.Resizing(16, 12)(value)"),
        ([[1.0, 2.0], [3.0]], (None, 2), "tf.ragged.constant(value).to_tensor()"),
        (tf.ragged.constant([[1.0, 2.0], [3.0]]), (None, 2), "value.to_tensor()"),
        (tf.sparse.from_dense([[1.0, 2.0]]), (None, 2), "tf.sparse.to_dense(value)"),
    ],
)
def test_advice_on_shapes_works(value, expected, advice):
    info = dense(tf.float32, expected)
    with pytest.raises(hub.InputError) as caught:
        convert(value, info)
    assert advice in caught.value.advice
    given = np.asarray(value) if advice == "value[None]" else value
    (found,) = convert(eval(advice, {"tf": tf, "keras": keras, "value": given}), info)
    assert info.get_shape().is_compatible_with(found.shape)


@pytest.mark.parametrize(
    ("found", "expected", "advice"),
    [
        ([2, 4], (None, 3), "reshape the value; a ? stands for any size"),
        ([2, 8, 8, 1], (None, 16, 16, 3), "reshape the value; a ? stands for any size"),
        ([5, 3], (8, 3), "pass 8 examples at a time"),
        ([], (None,), "add the batch axis: value[None] of an array or tensor, else [value]"),
    ],
)
def test_advice_on_other_shapes(found, expected, advice):
    with pytest.raises(hub.InputError) as caught:
        convert(np.zeros(found), dense(tf.float32, expected))
    assert caught.value.advice == advice


@pytest.mark.parametrize(
    ("value", "dtype", "advice"),
    [
        ([2**40], tf.int32, "look at the values: int32 holds -2147483648 to 2147483647"),
        (tf.constant([300]), tf.uint8, "look at the values: uint8 holds 0 to 255"),
        (np.array([300]), tf.uint8, "look at the values: uint8 holds 0 to 255"),
        ([1.0, None], tf.float32, "pass values that are all of dtype float32"),
        ([object()], tf.string, "pass values that are all of dtype string"),
        (None, tf.float32, "pass a value"),
    ],
)
def test_advice_where_nothing_converts(value, dtype, advice):
    with pytest.raises(hub.InputError) as caught:
        convert(value, dense(dtype))
    assert advice in caught.value.advice


# --- symbols: before there is a value ---


def identity(dtype, shape):
    def module_fn():
        x = v1.placeholder(dtype, shape)
        hub.add_signature(inputs=x, outputs=tf.identity(x))

    return hub.ModuleLayer(hub.create_module_spec(module_fn))


RESIZE = "resize the images first: keras.layers.Resizing(32, 32) before this layer"


@pytest.mark.parametrize(
    ("given", "dtype", "shape", "found", "advice"),
    [
        (
            keras.Input((2,), dtype="string"),
            tf.float32,
            (None, 2),
            "string [?, 2]",
            'begin the model with keras.Input((2,), dtype="float32")',
        ),
        (
            keras.Input(()),
            tf.string,
            (None,),
            "float32 [?]",
            'begin the model with keras.Input((), dtype="string")',
        ),
        (
            keras.Input((2,)),
            tf.int32,
            (8, None),
            "float32 [?, 2]",
            'begin the model with keras.Input(batch_shape=(8, None), dtype="int32"), or convert '
            'before this layer: keras.ops.cast(x, "int32")',
        ),
        (keras.Input((16, 16, 3)), tf.float32, (None, 32, 32, 3), "shape [?, 16, 16, 3]", RESIZE),
        (
            keras.Input((4,)),
            tf.float32,
            (None, 5),
            "shape [?, 4]",
            "give it data of the shape that the signature has, and begin the model with "
            'keras.Input((5,), dtype="float32")',
        ),
    ],
)
def test_advice_on_symbols(given, dtype, shape, found, advice):
    layer = identity(dtype, shape)
    with pytest.raises(hub.InputError) as caught:
        layer(given)
    assert (caught.value.found, caught.value.advice) == (found, advice)
    if "keras.Input" in advice:
        line = advice[advice.index("keras.Input") :].partition(", or ")[0]
        made = eval(line, {"keras": keras})
        assert layer(made).shape == tf.TensorShape(shape)
    if "keras.ops" in advice:
        cast = keras.ops.cast(keras.Input((2,), batch_size=8), "int32")
        assert layer(cast).dtype == "int32"


def refusal_in_fit(model, data, targets):
    """The layer's error, which an older Keras hides behind one of its own."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        model.fit(data, targets, verbose=0)
    error = caught.value
    return error if isinstance(error, hub.InputError) else error.__context__


def test_images_of_another_size_in_fit():
    layer = hub.ModuleLayer(Golden("convnet").path)
    images, labels = np.ones((2, 16, 16, 3), np.float32), np.ones((2, 1))
    model = keras.Sequential([layer, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    assert refusal_in_fit(model, images, labels).advice == RESIZE
    resize = keras.layers.Resizing(32, 32)
    resized = keras.Sequential([resize, layer, keras.layers.Dense(1)])
    resized.compile("sgd", "mse")
    assert np.isfinite(resized.fit(images, labels, verbose=0).history["loss"])


def test_text_for_numbers_in_fit():
    """Keras tells the dtype of the input that it made, which is not the data's."""
    model = keras.Sequential([identity(tf.float32, (None, 2))])
    model.compile("sgd", "mse")
    error = refusal_in_fit(model, tf.constant(["a", "b"]), np.ones((2, 2)))
    assert error.found == "shape [?]"
    assert error.advice == (
        "give it data of the shape that the signature has, and begin the model with "
        'keras.Input((2,), dtype="float32")'
    )
