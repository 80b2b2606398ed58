"""Variables that are written in branches, loops and functions, without variables.

Each graph is compared with a session: its output, what the variables are afterwards, and
the gradients, which in TensorFlow 1 do not flow through what is assigned.
"""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import function

import hub_keras_bridge as hub
from helpers.plans import stateful_ops
from helpers.tf1_reference import (
    Cases,
    X,
    assert_same,
    in_layer,
    in_session,
    module_fn,
    on_values,
    positive,
    publish,
    v1,
    weights,
)
from hub_keras_bridge.plans.of_values import of_values
from hub_keras_bridge.plans.program import Program

case = Cases()


def state(name="state", start=(1.0, 2.0), **kwargs):
    start = np.array(start, np.float32)
    with v1.variable_scope("", reuse=v1.AUTO_REUSE):
        return v1.get_variable(name, initializer=start, trainable=False, **kwargs)


def after(*ops):
    return tf.control_dependencies([op for op in ops if op is not None])


@case
def written_by_one_branch_each(x):
    a, b, w = state("a"), state("b"), weights()
    with after(
        tf.cond(
            positive(x),
            lambda: tf.identity(v1.assign_add(a, x[0])),
            lambda: tf.identity(v1.assign(b, x[1] * 2.0)),
        )
    ):
        return x @ w * a.read_value() + b.read_value()


@case
def written_by_one_case_of_three(x):
    a, b, w = state("a"), state("b"), weights()
    chosen = tf.switch_case(
        tf.cast(tf.abs(x[0, 0]), tf.int32),
        [
            lambda: tf.identity(v1.assign(a, x[0])),
            lambda: tf.identity(v1.assign_sub(a, x[1])) + tf.identity(v1.assign_add(b, x[1])),
            lambda: x[0],
        ],
    )
    with after(chosen):
        return chosen * w * a.read_value() - b.read_value()


@case
def read_and_written_by_each_turn(x):
    a, w = state(), weights()

    def body(i, y):
        before = a.read_value()
        with after(before):
            assigned = v1.assign(a, before * 0.5 + y[0] * w[0])
        with after(assigned):
            return i + 1, y * a.read_value() + tf.cast(i, tf.float32)

    y = tf.while_loop(lambda i, y: i < 3, body, [0, x], parallel_iterations=1)[1]
    with after(y):
        return y + a.read_value()


@case
def trained_and_written_by_each_turn(x):
    w = weights()

    def body(i, y):
        with after(y):
            assigned = v1.assign(w, w * 0.5)
        with after(assigned):
            return i + 1, tf.tanh(y @ w.read_value())

    y = tf.while_loop(lambda i, y: i < 3, body, [0, x], parallel_iterations=1)[1]
    with after(y):
        return y @ w.read_value()


@case
def loop_without_turns(x):
    a, w = state(), weights()
    body = lambda i: (i + tf.cast(tf.identity(v1.assign_add(a, x[0]))[0] * 0, tf.int32) + 1,)  # noqa: E731
    with after(tf.while_loop(lambda i: i < 0, body, [0])[0]):
        return x @ w + a.read_value()


@case
def branch_in_a_loop_in_a_branch(x):
    a, w = state(), weights()

    def turn(i, y):
        inner = tf.cond(
            i > 0,
            lambda: tf.identity(v1.assign_add(a, y[0])),
            lambda: tf.identity(v1.assign(a, y[1])),
        )
        with after(inner):
            return i + 1, y + a.read_value()

    def loop():
        return tf.while_loop(lambda i, _: i < 3, turn, [0, x @ w], parallel_iterations=1)[1]

    y = tf.cond(positive(x), loop, lambda: x @ w)
    with after(y):
        return y * a.read_value()


def in_hundredths(y):
    """Numbers without gradients: those of functions that are ops nobody takes."""
    return tf.cast(tf.round(y * 100.0), tf.int32)


@case
def written_by_a_function_of_tf1(x):
    a, w = state(), weights()

    @function.Defun(tf.float32, tf.resource)
    def update(x, handle):
        assigned = tf.raw_ops.AssignAddVariableOp(resource=handle, value=x[0])
        with after(assigned):
            return x * tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.float32)

    y = update(x, a.handle)
    y.set_shape([None, 2])
    with after(y):
        return in_hundredths(y @ w + a.read_value())


@case
def one_variable_under_two_names(x):
    a, w = state(), weights()

    @function.Defun(tf.float32, tf.resource, tf.resource)
    def update(x, one, other):
        assigned = tf.raw_ops.AssignAddVariableOp(resource=one, value=x[0])
        with after(assigned):
            return tf.raw_ops.ReadVariableOp(resource=other, dtype=tf.float32)

    y = update(x, a.handle, a.handle)
    with after(y):
        return in_hundredths(x @ w * y + a.read_value())


@case
def parts_of_it_written(x):
    a, w = state(start=[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), weights()
    handle, dtype = a.handle, tf.float32
    scatter = {"resource": handle, "indices": [2, 0, 2]}
    rows = tf.stack([x[0], x[1], x[0] + 1.0])
    with after(tf.raw_ops.ResourceScatterMul(updates=rows, **scatter)):
        half = tf.raw_ops.ResourceScatterDiv(updates=2.0, **scatter)
    with after(half):
        one = tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype)
    with after(one):
        two = a[1:, 0].assign(x[:, 1])
    with after(two):
        nd = {"ref": handle, "indices": [[0, 1]]}
        three = tf.raw_ops.ResourceScatterNdMax(updates=[100.0], **nd)
    with after(three):
        four = tf.raw_ops.ResourceScatterNdMin(ref=handle, indices=[[2, 1]], updates=[-100.0])
    with after(four):
        return x @ w * one[0] * a.read_value()[1] + a.read_value()[2] + a.read_value()[0]


@case
def read_if_it_has_a_value(x):
    a, w = state(), weights()
    return x @ w * v1.cond(v1.is_variable_initialized(a), a.read_value, lambda: tf.zeros([2]))


@case
def overwritten_though_it_was_infinite(x):
    a, w = state(start=[np.inf, np.nan]), weights()
    with after(v1.assign(a, x[0])):
        return x @ w * a.read_value()


@case
def trained_written_and_read_between(x):
    w = weights()
    one = x @ w.read_value()
    with after(one):
        assigned = v1.assign(w, w.read_value() * 3.0)
    with after(assigned):
        two = x @ w.read_value()
    with after(two):
        return one * two * v1.assign_sub(w, x)


# A session takes no gradient of these.
called = Cases()


@called
def written_by_a_function(x):
    a, w = state(), weights()

    @tf.function
    def update(x, scale):
        a.assign(a * scale)
        first = a.read_value()
        a.assign_add(x[0])
        return x * first + a

    one = update(x, 2.0)
    with after(one):
        two = update(x, 3.0)
    with after(two):
        return one @ w + two + a.read_value()


@called
def written_by_a_function_in_a_function(x):
    a, b, w = state("a"), state("b"), weights()

    @tf.function
    def inner(x):
        b.assign_add(x)
        return x + b

    @tf.function
    def outer(x):
        y = inner(x[0]) + a
        a.assign(y)
        return tf.cond(y[0] > 0.0, lambda: inner(x[1]), lambda: a + 1.0)

    y = outer(x @ w)
    with after(y):
        return y * a.read_value() * b.read_value()


@pytest.mark.parametrize("build", case, ids=lambda build: build.__name__)
def test_as_in_tf1(build):
    spec = hub.create_module_spec(module_fn(build, {"x": X}))
    compare(spec, in_session)


@pytest.mark.parametrize("build", called, ids=lambda build: build.__name__)
def test_functions_as_with_variables(build):
    compare(hub.create_module_spec(module_fn(build, {"x": X})), in_layer)


@pytest.mark.parametrize(
    "build",
    [
        written_by_one_branch_each,
        written_by_one_case_of_three,
        read_and_written_by_each_turn,
        trained_and_written_by_each_turn,
        branch_in_a_loop_in_a_branch,
    ],
    ids=lambda build: build.__name__,
)
def test_as_in_tf1_with_control_flow_of_tf1(build):
    compare(publish(build, {"x": X}), in_session)


def compare(spec, oracle):
    variant = spec.variant(())
    chosen = Program(variant).call("default", ["default"], training=True)
    assert stateful_ops(of_values(chosen, variant)) == []
    calls = [{"x": X}, {"x": -X}]
    for ours, theirs in zip(on_values(spec, *calls), oracle(spec, *calls), strict=True):
        assert_same(ours, theirs)
