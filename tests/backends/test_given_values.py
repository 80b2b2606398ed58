"""What is done with values that a layer is given, before anything runs: on each backend."""

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.backends import numbers

v1 = tf.compat.v1


@pytest.mark.parametrize("mixed", ["array and list", "array and number", "array and text"])
def test_arrays_beside_other_values(mixed):
    dtype = tf.string if mixed.endswith("text") else tf.float32

    def module_fn():
        a, b = v1.placeholder(tf.float32, [2]), v1.placeholder(dtype, None)
        told = tf.cast(tf.strings.length(b), tf.float32) if dtype == tf.string else b
        hub.add_signature(inputs={"a": a, "b": b}, outputs=a * 10 + told)

    layer = hub.ModuleLayer(hub.create_module_spec(module_fn))
    given = {"array and list": [1.0, 2.0], "array and number": 3, "array and text": ["x", "yz"]}
    found = layer({"a": keras.ops.convert_to_tensor([1.0, 2.0]), "b": given[mixed]})
    expected = {"array and number": [13, 23]}.get(mixed, [11, 22])
    assert numbers(found).tolist() == expected


def test_colours(caplog):
    caplog.set_level(logging.WARNING, "absl")

    def module_fn():
        images = v1.placeholder(tf.float32, [None, 8, 8, 3])
        hub.add_signature(inputs={"images": images}, outputs=tf.reduce_mean(images, [1, 2]))

    def warnings():
        return [r.getMessage() for r in caplog.records if "colours" in r.getMessage()]

    images = np.full((4, 8, 8, 3), 200, np.uint8)
    layer = hub.ModuleLayer(hub.create_module_spec(module_fn))
    for fine in (images / 255, keras.ops.convert_to_tensor(images[:0]), images // 200):
        layer(fine)
    assert warnings() == []
    for _ in range(2):
        layer(keras.ops.convert_to_tensor(images))
    (warning,) = warnings()
    assert "and is given values up to 200 " in warning
    model = keras.Sequential([keras.Input((8, 8, 3), dtype="uint8"), layer.with_signature()])
    model.predict(images, verbose=0)
    assert len(warnings()) == 2


def test_fit_of_text_whose_words_are_averaged():
    """Of no words there is no average, and no row for it."""

    def module_fn():
        text = v1.placeholder(tf.string, [None])
        table = v1.get_variable("table", [50, 3], initializer=v1.ones_initializer())
        words = tf.compat.v1.string_split(text)
        rows = tf.gather(table, tf.strings.to_hash_bucket_fast(words.values, 50))
        means = tf.math.segment_mean(rows, words.indices[:, 0])
        hub.add_signature(inputs=text, outputs=means)

    layer = hub.ModuleLayer(hub.create_module_spec(module_fn), trainable=True)
    model = keras.Sequential([keras.Input((None,), dtype="uint8"), layer])
    model.compile(keras.optimizers.SGD(1.0), "mse")
    texts = hub.text_to_bytes(["a b", "c", "a a c d"] * 2)
    losses = model.fit(texts, np.zeros((6, 3), "f"), batch_size=3, epochs=2, verbose=0).history
    assert losses["loss"][1] < 0.9 * losses["loss"][0]
    assert model.predict(texts, verbose=0).shape == (6, 3)
