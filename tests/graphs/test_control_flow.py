"""Loops and conditionals of TF1 through ModuleLayer, in each way to differentiate.

Harder cases are in test_control_flow_conds.py, ..._loops.py, ..._arrays.py and
..._effects.py, what is refused in ..._refused.py.
"""

import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.tf1_reference import HOW, X, check, publish, v1, weights


def loop(x, steps=3):
    w = weights()
    return v1.while_loop(lambda i, y: i < steps, lambda i, y: [i + 1, tf.tanh(y @ w)], [0, x])[1]


def cond(x):
    w = weights()
    return v1.cond(tf.reduce_sum(x) > 0, lambda: x * tf.reduce_sum(w), lambda: x @ w)


def loop_over_array(x):
    w = weights()
    given = tf.TensorArray(tf.float32, 2, element_shape=[2]).unstack(x)

    def body(i, state, made):
        state = tf.tanh(state @ w + given.read(i))
        return i + 1, state, made.write(i, state)

    start = [0, x, tf.TensorArray(tf.float32, 2)]
    _, state, made = v1.while_loop(lambda i, *_: i < 2, body, start)
    return tf.reduce_sum(made.stack(), 0) + state


def loop_in_loop(x):
    def body(i, y):
        return i + 1, loop(y, 2) + 1.0

    return v1.while_loop(lambda i, y: i < 2, body, [0, x])[1]


def cond_in_loop(x):
    w = weights()

    def body(i, y):
        return i + 1, v1.cond(tf.equal(i % 2, 0), lambda: y @ w, lambda: y * y + 1.0)

    return v1.while_loop(lambda i, y: i < 3, body, [0, x])[1]


def loop_in_cond(x):
    return v1.cond(tf.reduce_sum(x) > 0, lambda: loop(x), lambda: x)


def cond_in_cond(x):
    return v1.cond(tf.reduce_sum(x) > 0, lambda: cond(x - 1.0), lambda: x)


def loop_then_cond(x):
    return cond(loop(x))


def cond_then_loop(x):
    return loop(cond(x))


def unused_loop_variable(x):
    w = weights()

    def body(i, y, unused):
        return i + 1, tf.tanh(y @ w), unused + tf.reduce_sum(y)

    return v1.while_loop(lambda i, *_: i < 3, body, [0, x, 0.0])[1]


def lookup_in_cond(x):
    w = weights()
    return v1.cond(
        tf.reduce_sum(x) > 0,
        lambda: tf.nn.embedding_lookup(w, [0, 1, 1]),
        lambda: tf.nn.embedding_lookup(w, [0, 0, 0]),
    )


def loop_that_grows_its_variable(x):
    w = weights()
    return v1.while_loop(
        lambda i, y: i < tf.cast(tf.reduce_sum(x), tf.int32),
        lambda i, y: (i + 1, tf.concat([y, y[-1:] @ w], 0)),
        [0, x],
        shape_invariants=[tf.TensorShape([]), tf.TensorShape([None, 2])],
    )[1]


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(
    "build",
    [
        loop,
        cond,
        loop_over_array,
        loop_in_loop,
        cond_in_loop,
        loop_in_cond,
        cond_in_cond,
        loop_then_cond,
        cond_then_loop,
        unused_loop_variable,
        lookup_in_cond,
        loop_that_grows_its_variable,
    ],
    ids=lambda build: build.__name__,
)
def test_as_in_tf1(build, how):
    check(build, *([X, -X] if how == HOW[0] else [X]), how=how)


@pytest.mark.parametrize("in_function", [False, True])
@pytest.mark.parametrize("build", [loop, cond_in_loop, loop_in_loop, loop_over_array])
def test_second_derivative(build, in_function):
    """TF1 has none through a loop; plain Python control flow has."""
    layer = hub.ModuleLayer(publish(build, {"x": X}), trainable=True)
    layer.build()
    w = layer.variable_map["w"].value
    x = tf.constant(X)

    def second(call):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = tf.reduce_sum(call(x) ** 2)
            slope = inner.gradient(y, x)
        return outer.gradient(slope, [x, w])

    ours = (tf.function(second) if in_function else second)(layer)
    expected = second(lambda x: IN_PYTHON[build](x, w))
    for actual, wanted in zip(ours, expected, strict=True):
        np.testing.assert_allclose(actual, wanted, 1e-4, 1e-4)


def _loop_in_python(x, w, steps=3):
    for _ in range(steps):
        x = tf.tanh(x @ w)
    return x


def _cond_in_loop_in_python(x, w):
    for i in range(3):
        x = x @ w if i % 2 == 0 else x * x + 1.0
    return x


def _loop_in_loop_in_python(x, w):
    for _ in range(2):
        x = _loop_in_python(x, w, 2) + 1.0
    return x


def _loop_over_array_in_python(x, w):
    state, total = x, 0.0
    for i in range(2):
        state = tf.tanh(state @ w + x[i])
        total += state
    return total + state


IN_PYTHON = {
    loop: _loop_in_python,
    cond_in_loop: _cond_in_loop_in_python,
    loop_in_loop: _loop_in_loop_in_python,
    loop_over_array: _loop_over_array_in_python,
}
