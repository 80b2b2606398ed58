"""Rows at once: ``tf.vectorized_map`` and jacobians over modules with control flow.

TensorFlow rewrites the graphs of functions for it, those of loops and branches among
them. The twin is the same Python function in a ``tf.function``.
"""

import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.golden import Golden

v1 = tf.compat.v1
W = np.linspace(-1, 1, 9, dtype=np.float32).reshape(3, 3)
X = 2 * np.sin(np.arange(15, dtype=np.float32)).reshape(5, 3)


def loop(x, w):
    """As many steps as a row asks for."""
    count = tf.cast(tf.reduce_sum(tf.abs(x)), tf.int32)

    def step(i, h):
        return i + 1, tf.tanh(tf.matmul(h, w) + x)

    return tf.while_loop(lambda i, _: i < count, step, [0, tf.zeros_like(x)])[1]


def branch(x, w):
    return tf.cond(tf.reduce_sum(x) > 0, lambda: tf.matmul(x, w), lambda: x * x)


def function(x, w):
    inner = tf.function(lambda x: tf.tanh(tf.matmul(x, w)))
    return tf.function(lambda x: 2.0 * inner(x) + inner(-2.0 * x))(x)


def spec_of(compute):
    def module_fn():
        x = v1.placeholder(tf.float32, [None, 3])
        w = v1.get_variable("w", initializer=W, use_resource=True)
        hub.add_signature(inputs=x, outputs=compute(x, w))

    return hub.create_module_spec(module_fn)


def twin(compute):
    w = tf.Variable(W)
    return tf.function(lambda x: compute(x, w), input_signature=[tf.TensorSpec([None, 3])]), w


def v1_control_flow(compute):
    """The same module, from a program that had control flow of TensorFlow 1."""
    v1.disable_control_flow_v2()
    try:
        return spec_of(compute)
    finally:
        v1.enable_control_flow_v2()


def each_row(call, rows):
    one = lambda row: call(row[None])[0]  # noqa: E731
    return tf.vectorized_map(one, rows), tf.stack([one(row) for row in rows])


@pytest.mark.parametrize(
    ("compute", "publish", "call"),
    [
        (loop, spec_of, hub.ModuleLayer),
        (loop, v1_control_flow, hub.load),
        (branch, v1_control_flow, hub.ModuleLayer),
        (function, spec_of, hub.load),
    ],
)
def test_rows(compute, publish, call):
    found, each = each_row(call(publish(compute)), tf.constant(X))
    np.testing.assert_allclose(found, each, atol=1e-6)
    native, _ = twin(compute)
    np.testing.assert_allclose(each, [native(row[None])[0] for row in X], atol=1e-6)


def jacobians(call, weight):
    x = tf.constant(X[:2])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = call(x)[:, :2]
    return tape.jacobian(y, [x, weight])


@pytest.mark.parametrize("compute", [branch, function])
def test_jacobians(compute):
    layer = hub.ModuleLayer(spec_of(compute), trainable=True)
    layer.build()
    found = jacobians(layer, layer.trainable_weights[0].value)
    for one, other in zip(found, jacobians(*twin(compute)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_second_derivatives_through_a_function():
    """TensorFlow's importer gives a call a gradient that has none."""

    def product(call):
        x, along = tf.constant(X), tf.cos(tf.constant(X))
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = tf.reduce_sum(call(x) ** 3)
            slope = inner.gradient(y, x)
        with tf.autodiff.ForwardAccumulator(x, along) as forward:
            z = call(x)
        return outer.gradient(slope, x, along), forward.jvp(z)

    found, expected = product(hub.ModuleLayer(spec_of(function))), product(twin(function)[0])
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
        assert np.abs(other).max() > 0.1


def test_gradient_of_a_loop_that_takes_a_variable():
    """As control flow v2 has it; a loop gives the handle back."""
    layer = hub.ModuleLayer(spec_of(loop), trainable=True)
    call, w = twin(loop)
    with tf.GradientTape(persistent=True) as tape:
        totals = [tf.reduce_sum(each(tf.constant(X)) ** 2) for each in (layer, call)]
    found = tape.gradient(totals[0], layer.trainable_weights[0].value)
    np.testing.assert_allclose(found, tape.gradient(totals[1], w), rtol=1e-5)


def test_an_lstm():
    """Rows of one length, since TensorFlow cannot split what a loop reads of an array."""
    golden = Golden("rnn")
    layer, x = hub.ModuleLayer(golden.path), tf.constant(golden.inputs(0)["x"])
    length = tf.constant([3])

    def one(row):
        return layer({"x": row[None], "n": length})[0]

    expected = tf.stack([one(row) for row in x])
    np.testing.assert_allclose(tf.vectorized_map(one, x), expected, atol=1e-6)


def test_gradients_of_each_example():
    layer = hub.ModuleLayer(spec_of(function), trainable=True)
    layer.build()
    weight = layer.trainable_weights[0].value

    def one(row):
        with tf.GradientTape() as tape:
            y = tf.reduce_sum(layer(row[None]) ** 2)
        return tape.gradient(y, weight, unconnected_gradients="zero")

    rows = tf.constant(X)
    expected = tf.stack([one(row) for row in rows])
    np.testing.assert_allclose(tf.vectorized_map(one, rows), expected, atol=1e-5)
