"""Images whose colours are no image module's are warned of, once."""

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub

v1 = tf.compat.v1

BYTES = np.full((4, 8, 8, 3), 200, np.uint8)
ADVICE = "put keras.layers.Rescaling(1 / 255) before the layer"


def images_fn(name="images", signature=None, size=None):
    images = v1.placeholder(tf.float32, [None, 8, 8, 3])
    hub.add_signature(signature, {name: images}, tf.reduce_mean(images, [1, 2]))
    if size:
        hub.attach_image_module_info(hub.ImageModuleInfo(default_image_size=size))


def layer_of(*args, **kwargs):
    spec = hub.create_module_spec(lambda: images_fn(*args, **kwargs))
    return hub.ModuleLayer(spec, signature=kwargs.get("signature"))


@pytest.fixture
def warnings(caplog):
    caplog.set_level(logging.WARNING, "absl")
    return lambda: [r.getMessage() for r in caplog.records if "colours" in r.getMessage()]


def test_by_values(warnings):
    layer = layer_of()
    for fine in (BYTES / 255, np.float32(BYTES / 255) * 5, -BYTES / 100, BYTES[:0], BYTES // 200):
        layer(fine)
    assert warnings() == []
    for _ in range(2):
        layer(BYTES)
    (warning,) = warnings()
    assert warning == (
        "Input 'images' takes images with colours from 0 to 1, and is given values up to 200 "
        f"(module '(not published yet)', tags {{}}, signature 'default'); {ADVICE}"
    )


GIVEN = {
    "array": BYTES,
    "floats": np.float32(BYTES),
    "list": BYTES.tolist(),
    "tensor": tf.constant(BYTES),
    "dict": {"images": tf.constant(BYTES)},
}


@pytest.mark.parametrize("given", GIVEN)
def test_every_kind_of_value(given, warnings):
    layer_of()(GIVEN[given])
    assert len(warnings()) == 1


@pytest.mark.parametrize(
    ("facts", "count"),
    [
        ({"name": "x"}, 0),
        ({"name": "x", "signature": "image_feature_vector"}, 1),
        ({"name": "x", "signature": "image_classification"}, 1),
        ({"name": "x", "size": {"height": 8, "width": 8}}, 1),
    ],
)
def test_which_inputs_are_images(facts, count, warnings):
    layer_of(**facts)(BYTES)
    assert len(warnings()) == count


def sequential(*layers):
    return keras.Sequential([*layers, layer_of()])


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.images = layer_of()

    def call(self, inputs):
        return self.images(inputs)


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (sequential, 1),
        (lambda: sequential(keras.Input((8, 8, 3))), 1),
        (lambda: sequential(keras.Input((8, 8, 3), dtype="uint8")), 1),
        (lambda: sequential(keras.layers.Resizing(8, 8)), 1),
        (Subclassed, 1),
        (lambda: sequential(keras.layers.Rescaling(1 / 255)), 0),
        (lambda: sequential(keras.layers.Resizing(8, 8), keras.layers.Rescaling(1 / 255)), 0),
    ],
)
def test_bytes_in_fit(make, count, warnings):
    model = make()
    model.compile("sgd", "mse")
    model.fit(BYTES, np.ones((4, 3)), verbose=0)
    model.predict(BYTES, verbose=0)
    found = warnings()
    assert len(found) == count
    assert all("is given uint8 without rescaling (module " in each for each in found)
    assert all(ADVICE in each for each in found)


def test_in_graphs(warnings):
    data = tf.data.Dataset.from_tensors(BYTES)
    list(data.map(lambda images: tf.cast(images, tf.float32) / 255.0).map(layer_of()))
    tf.function(layer_of())(np.float32(BYTES) / 255)
    assert warnings() == []
    list(data.map(layer_of()))
    assert len(warnings()) == 1
