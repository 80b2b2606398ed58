"""However a training is written, on whatever Keras computes with, it goes to the same weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.backends import BACKEND, numbers

v1 = tf.compat.v1
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(32, 4)).astype("f"), RNG.normal(size=(32, 3)).astype("f")
W = RNG.normal(size=(4, 3)).astype("f")
RATE, DECAY = 0.1, 0.05


def normed_fn(training):
    x = v1.placeholder(tf.float32, [None, 4])
    w = v1.get_variable("w", initializer=W, regularizer=lambda w: DECAY * tf.reduce_sum(w * w))
    mean = v1.get_variable("mean", initializer=np.zeros(3, "f"), trainable=False)
    h = x @ w
    if training:
        batch = tf.reduce_mean(h, 0)
        v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, mean.assign(0.9 * mean + 0.1 * batch).op)
    hub.add_signature(inputs=x, outputs=tf.tanh(h - (batch if training else mean)))


def normed_layer(**arguments):
    variants = [(set(), {"training": False}), ({"train"}, {"training": True})]
    spec = hub.create_module_spec(normed_fn, tags_and_args=variants)
    return hub.ModuleLayer(spec, **{"trainable": True, **arguments})


def trained_by_numpy(steps):
    """Loss per step, and both variables after it."""
    w, mean, losses = W.astype("d"), np.zeros(3), []
    for _ in range(steps):
        h = X @ w
        out = np.tanh(h - h.mean(0))
        losses.append(((out - Y) ** 2).mean() + DECAY * (w * w).sum())
        mean = 0.9 * mean + 0.1 * h.mean(0)
        inner = 2 * (out - Y) / Y.size * (1 - out**2)
        w = w - RATE * (X.T @ (inner - inner.mean(0)) + 2 * DECAY * w)
    return losses, w, mean


class Wrapping(keras.Model):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def call(self, inputs, training=None):
        return self.layer(inputs, training=training)


def functional(layer):
    inputs = keras.Input((4,))
    return keras.Model(inputs, layer(inputs))


MODELS = {
    "sequential": lambda layer: keras.Sequential([layer]),
    "functional": functional,
    "subclassed": Wrapping,
}


@pytest.mark.parametrize("how", [{}, {"run_eagerly": True}, {"jit_compile": False}], ids=str)
@pytest.mark.parametrize("model", MODELS)
def test_fit(model, how):
    layer = normed_layer()
    model = MODELS[model](layer)
    model.compile(keras.optimizers.SGD(RATE), "mse", **how)
    losses = model.fit(X, Y, batch_size=32, epochs=3, shuffle=False, verbose=0).history["loss"]
    expected, w, mean = trained_by_numpy(3)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    np.testing.assert_allclose(numbers(layer.variable_map["w"]), w, atol=1e-5)
    np.testing.assert_allclose(numbers(layer.variable_map["mean"]), mean, atol=1e-5)
    predicted = np.tanh(X @ w - mean)
    np.testing.assert_allclose(model.predict(X, verbose=0), predicted, atol=1e-5)
    loss = ((predicted - Y) ** 2).mean() + DECAY * (w * w).sum()
    np.testing.assert_allclose(model.evaluate(X, Y, verbose=0), loss, rtol=1e-5)


def test_train_on_batch():
    layer = normed_layer()
    model = keras.Sequential([keras.Input((4,)), layer])
    model.compile(keras.optimizers.SGD(RATE), "mse")
    losses = [float(model.train_on_batch(X, Y)) for _ in range(3)]
    assert losses[0] > losses[1] > losses[2]
    np.testing.assert_allclose(numbers(layer.variable_map["w"]), trained_by_numpy(3)[1], atol=1e-5)


def test_a_frozen_layer_keeps_its_weights():
    layer = normed_layer(trainable=False)
    head = keras.layers.Dense(3)
    model = keras.Sequential([keras.Input((4,)), layer, head])
    before = numbers(head.kernel)
    model.compile(keras.optimizers.SGD(RATE), "mse")
    model.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(numbers(layer.variable_map["w"]), W)
    np.testing.assert_array_equal(numbers(layer.variable_map["mean"]), np.zeros(3))
    assert not np.array_equal(numbers(head.kernel), before)


def both_fn():
    x = v1.placeholder(tf.float32, [None, 4])
    scale = v1.get_variable("scale", initializer=np.full(4, 2, "f"))
    shift = v1.get_variable("shift", initializer=np.zeros(4, "f"))
    hub.add_signature("encode", x, x * scale + shift)
    hub.add_signature("decode", x, (x - shift) / scale)


def test_layers_that_share_weights():
    encode = hub.ModuleLayer(
        hub.create_module_spec(both_fn),
        signature="encode",
        trainable=True,
        trainable_patterns="scale",
    )
    decode = encode.with_signature("decode")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, [encode(inputs), decode(encode(inputs))])
    model.compile(keras.optimizers.SGD(RATE), ["mse", "mse"])
    assert len(model.trainable_variables) == 1
    model.fit(X, [0 * X, X], batch_size=32, verbose=0)
    # The one output is x; the other's gradient goes by twice its mean square.
    slope = 2 * 2 * (X**2).mean(0) / 4
    np.testing.assert_allclose(numbers(encode.variable_map["scale"]), 2 - RATE * slope, atol=1e-5)
    np.testing.assert_array_equal(numbers(encode.variable_map["shift"]), np.zeros(4))


def test_time_distributed():
    layer = normed_layer(trainable=False)
    series = RNG.normal(size=(2, 5, 4)).astype("f")
    model = keras.Sequential([keras.Input((5, 4)), keras.layers.TimeDistributed(layer)])
    np.testing.assert_allclose(model.predict(series, verbose=0), np.tanh(series @ W), atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    layer = normed_layer(dtype=policy)
    model = keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(3, dtype=policy)])
    model.compile(keras.optimizers.SGD(RATE), "mse")
    model.fit(X, Y, verbose=0)
    assert keras.backend.standardize_dtype(layer(X).dtype) == policy.removeprefix("mixed_")
    assert layer.variable_map["w"].dtype == "float32"
    assert not np.array_equal(numbers(layer.variable_map["w"]), W)


def test_the_way_is_told():
    route = normed_layer().backend_route
    words = {"tensorflow": "TensorFlow", "jax": "jax2tf.call_tf", "torch": "torch.autograd"}
    assert words[BACKEND] in route
