"""The examples with which the TF1 Hub format was documented, in plain TF1 ops.

Their subjects are those of tensorflow/hub's "Creating a new module" and
"Fine-tuning" pages; ``tf.layers`` is gone from TensorFlow, so layers are spelt out.
"""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub

v1 = tf.compat.v1


def dense(x, units, name, regularizer=None):
    kernel = v1.get_variable(
        f"{name}/kernel",
        [x.shape[-1], units],
        initializer=v1.glorot_uniform_initializer(seed=units),
        regularizer=regularizer,
    )
    bias = v1.get_variable(f"{name}/bias", [units], initializer=v1.zeros_initializer())
    return tf.nn.bias_add(tf.matmul(x, kernel), bias)


def test_tf_layers_with_the_publish_extra():
    """Legacy Keras brings tf.layers back, and changes nothing about ModuleLayer."""
    script = """
import os
os.environ["TF_USE_LEGACY_KERAS"] = "1"
import keras, numpy as np, tensorflow as tf, hub_keras_bridge as hub

def module_fn(training):
    x = tf.compat.v1.placeholder(tf.float32, [None, 4])
    y = tf.compat.v1.layers.dense(x, 8, kernel_regularizer=lambda w: 0.1 * tf.nn.l2_loss(w))
    hub.add_signature(
        inputs=x, outputs=tf.compat.v1.layers.batch_normalization(y, training=training)
    )

spec = hub.create_module_spec(
    module_fn, [(set(), {"training": False}), ({"train"}, {"training": True})]
)
layer = hub.ModuleLayer(spec, trainable=True)
assert isinstance(layer, keras.layers.Layer)
model = keras.Sequential([layer])
model.compile("sgd", "mse")
before = layer.variable_map["batch_normalization/moving_mean"].numpy().copy()
model.fit(np.ones((4, 4)), np.ones((4, 8)), verbose=0)
assert (layer.variable_map["batch_normalization/moving_mean"].numpy() != before).all()
assert len(layer.losses) == 1
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def two_layers():
    inputs = v1.placeholder(tf.float32, [None, 50])
    layer1 = dense(inputs, 200, "layer1")
    layer2 = dense(layer1, 100, "layer2")
    hub.add_signature(inputs=inputs, outputs=layer2)


def fruit_to_pet():
    apples = v1.placeholder(tf.float32, [None])
    oranges = v1.placeholder(tf.float32, [None])
    hub.add_signature(
        "fruit_to_pet",
        inputs={"apples": apples, "oranges": oranges},
        outputs={"cats": apples + oranges, "dogs": apples - oranges},
    )


def with_dropout(is_training, rate=0.5):
    x = v1.placeholder(tf.float32, [None, 4])
    l2 = lambda w: 0.1 * tf.nn.l2_loss(w)  # noqa: E731
    y = dense(x, 3, "dense", regularizer=l2)
    hub.add_signature(inputs=x, outputs=tf.nn.dropout(y, rate, seed=1) if is_training else y)


@pytest.mark.parametrize("trainable", [False, True])
def test_two_layers(publish, trainable):
    path = publish(two_layers)
    x = np.random.default_rng(0).normal(size=(3, 50)).astype(np.float32)
    layer = hub.ModuleLayer(path, trainable=trainable)
    kernels = [layer.variable_map[f"layer{i}/kernel"].numpy() for i in (1, 2)]
    np.testing.assert_allclose(layer(x), x @ kernels[0] @ kernels[1], atol=1e-4)
    assert len(layer.trainable_weights) == (4 if trainable else 0)
    expected = layer(x).numpy()
    with tf.Graph().as_default(), v1.Session() as session:
        output = hub.Module(path, trainable=trainable)(x)
        session.run(v1.global_variables_initializer())
        np.testing.assert_allclose(session.run(output), expected, atol=1e-5)


def test_fruit_to_pet():
    spec = hub.create_module_spec(fruit_to_pet)
    fruit = {"apples": [3.0, 5.0], "oranges": [1.0, 1.0]}
    pets = hub.ModuleLayer(spec, signature="fruit_to_pet", as_dict=True)(fruit)
    assert {k: v.numpy().tolist() for k, v in pets.items()} == {"cats": [4, 6], "dogs": [2, 4]}
    with tf.Graph().as_default(), v1.Session() as session:
        pets = hub.Module(spec)(fruit, signature="fruit_to_pet", as_dict=True)
        assert session.run(pets["dogs"]).tolist() == [2, 4]


class TestVariants:
    @pytest.fixture
    def path(self, publish):
        return publish(
            with_dropout,
            [({"train"}, {"is_training": True}), (set(), {"is_training": False})],
        )

    def test_dropout_in_training_only(self, path):
        layer = hub.ModuleLayer(path, trainable=True)
        x = np.ones((100, 4), np.float32)
        plain = layer(x).numpy()
        dropped = layer(x, training=True).numpy()
        kept = dropped != 0
        assert 0.3 < kept.mean() < 0.7
        np.testing.assert_allclose(dropped[kept], 2 * plain[kept], rtol=1e-5)

    def test_fine_tuning_with_regularization(self, path):
        """One step of gradient descent in Keras, in a session and by hand."""
        x, y = np.eye(4, dtype=np.float32), np.ones((4, 3), np.float32)
        layer = hub.ModuleLayer(path, trainable=True, training_tags=())
        kernel = layer.variable_map["dense/kernel"].numpy()
        model = keras.Sequential([layer])
        model.compile(keras.optimizers.SGD(0.5), "mse")
        model.fit(x, y, batch_size=4, verbose=0)
        by_hand = kernel - 0.5 * (2 * (kernel - 1) / 12 + 0.1 * kernel)
        np.testing.assert_allclose(layer.variable_map["dense/kernel"], by_hand, atol=1e-6)

        with tf.Graph().as_default(), v1.Session() as session:
            module = hub.Module(path, trainable=True)
            loss = tf.reduce_mean(tf.square(module(x) - y))
            loss += tf.add_n(v1.get_collection(v1.GraphKeys.REGULARIZATION_LOSSES))
            step = v1.train.GradientDescentOptimizer(0.5).minimize(loss)
            session.run(v1.global_variables_initializer())
            session.run(step)
            found = session.run(module.variable_map["dense/kernel"])
        np.testing.assert_allclose(found, by_hand, atol=1e-6)
