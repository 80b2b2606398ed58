"""Conditionals of TF1, each with both outcomes, against a session."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import function

from helpers.tf1_reference import (
    WEIGHTS,
    Cases,
    X,
    assert_same,
    check,
    in_layer,
    in_session,
    positive,
    publish,
    v1,
    weights,
)

case = Cases()


@case
def several_outputs(x):
    w = weights()
    a, b, c = v1.cond(
        positive(x),
        lambda: (x * w, x + 1.0, tf.constant(3)),
        lambda: (x, x @ w, tf.constant(4)),
    )
    return a + b * tf.cast(c, tf.float32)


@case
def outputs_that_come_from_outside(x):
    a, b = v1.cond(positive(x), lambda: (x, x * 2.0), lambda: (x * 3.0, x))
    return a + b * weights()


@case
def constant_branches(x):
    return v1.cond(positive(x), lambda: tf.constant(2.0), lambda: tf.constant(3.0)) * x * weights()


@case
def constant_predicate(x):
    w = weights()
    return v1.cond(tf.constant(True), lambda: x * w, lambda: x)


@case
def predicate_read_in_both_branches(x):
    w, p = weights(), positive(x)
    return v1.cond(p, lambda: tf.cast(p, tf.float32) * x * w, lambda: tf.cast(p, tf.float32) + x)


@case
def same_predicate_nested(x):
    w, p = weights(), positive(x)
    return v1.cond(
        p,
        lambda: v1.cond(p, lambda: x * w, lambda: x - 1.0) + 1.0,
        lambda: v1.cond(p, lambda: x, lambda: x * x * w),
    )


@case
def conds_in_both_branches(x):
    w = weights()

    def inner():
        return v1.cond(tf.reduce_max(x) > 3.0, lambda: x @ w, lambda: x)

    return v1.cond(positive(x), lambda: inner() * 2.0, lambda: inner() - 1.0)


@case
def three_deep(x):
    w = weights()

    def middle():
        return v1.cond(tf.reduce_max(x) > 2.0, lambda: x * w, lambda: x)

    def outer():
        return v1.cond(positive(x - 0.1), middle, lambda: x + 1.0)

    return v1.cond(positive(x), outer, lambda: x)


@case
def same_predicate_twice_in_a_row(x):
    w, p = weights(), positive(x)
    y = v1.cond(p, lambda: x * w, lambda: x + 1.0)
    return v1.cond(p, lambda: y @ w * y, lambda: y - w)


@case
def same_predicate_twice_in_one_scope(x):
    w, p = weights(), positive(x)
    with v1.name_scope("scope"):
        y = v1.cond(p, lambda: x * w, lambda: x, name="same")
        return v1.cond(p, lambda: y * w, lambda: y + 2.0, name="same")


@case
def chain_of_predicates(x):
    w, p = weights(), positive(x)
    a = v1.cond(p, lambda: x * 2.0, lambda: x)
    q = positive(a)
    b = v1.cond(q, lambda: a * w, lambda: a)
    c = v1.cond(p, lambda: a + b, lambda: b)
    return v1.cond(q, lambda: c * b, lambda: a)


@case
def tf_case(x):
    w, total = weights(), tf.reduce_sum(x)
    branches = [
        (total > 100.0, lambda: x * w),
        (total > 0.0, lambda: x @ w),
        (total > -1.0, lambda: x - w),
    ]
    return v1.case(branches, default=lambda: x)


@case
def exclusive_tf_case(x):
    w, total = weights(), tf.reduce_sum(x)
    branches = [
        (total > 100.0, lambda: x * w),
        (tf.logical_and(total > 0.0, total < 50.0), lambda: x @ w),
    ]
    return v1.case(branches, default=lambda: x, exclusive=True)


@case
def smart_dropout_flag_that_nobody_feeds(x):
    w, is_training = weights(), v1.placeholder_with_default(False, [])
    return v1.cond(is_training, lambda: x * w * 2.0, lambda: x * w)


@case
def fused_batch_norm(x):
    gamma = v1.get_variable("gamma", [2], initializer=v1.ones_initializer())
    beta = v1.get_variable("beta", [2], initializer=v1.zeros_initializer())
    averages = [
        v1.get_variable(name, [2], initializer=v1.ones_initializer(), trainable=False)
        for name in ("mean", "variance")
    ]
    is_training, images = positive(x), x[:, None, None, :]
    y, *batch = v1.cond(
        is_training,
        lambda: v1.nn.fused_batch_norm(images, gamma, beta),
        lambda: v1.nn.fused_batch_norm(images, gamma, beta, *averages, is_training=False),
    )
    for average, value in zip(averages, batch, strict=True):
        step = v1.cond(
            is_training,
            lambda average=average, value=value: (average - value) * 0.1,
            lambda average=average: tf.zeros_like(average),
        )
        v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, v1.assign_sub(average, step))
    return y[:, 0, 0] @ weights()


@case
def batch_norm_that_updates_in_branches(x):
    mean = v1.get_variable("mean", [2], initializer=v1.zeros_initializer(), trainable=False)
    is_training = positive(x)
    batch = tf.reduce_mean(x, 0)
    used = v1.cond(is_training, lambda: batch, lambda: tf.identity(mean))
    update = v1.cond(
        is_training,
        lambda: tf.identity(v1.assign_sub(mean, (mean - batch) * 0.1)),
        lambda: tf.identity(mean),
    )
    v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, update)
    return (x - used) @ weights()


@case
def sparse_branches(x):
    sparse = tf.sparse.from_dense(x)
    twice = tf.SparseTensor(sparse.indices, sparse.values, sparse.dense_shape)
    found = v1.cond(positive(x), lambda: twice.with_values(twice.values * 2.0), lambda: sparse)
    return tf.sparse.to_dense(found) * weights()


@case
def function_called_in_a_branch(x):
    @function.Defun(tf.float32)
    def square(value):
        return value * value

    w = weights()
    return v1.cond(positive(x), lambda: square(x) * w, lambda: x)


@case
def gradient_within_the_module(x):
    w = weights()
    y = v1.cond(positive(x), lambda: x * x * w, lambda: x)
    return tf.gradients(tf.reduce_sum(y**2), x)[0] * w


@case
def assertion_in_a_branch(x):
    w = weights()

    def checked():
        with tf.control_dependencies([v1.assert_greater(tf.reduce_sum(x), 0.0)]):
            return x * w

    return v1.cond(positive(x), checked, lambda: x)


@case
def table_in_a_branch(x):
    w = weights()
    pairs = tf.lookup.KeyValueTensorInitializer(["a", "b"], [5.0, 6.0])
    table = tf.lookup.StaticHashTable(pairs, 0.0)
    return v1.cond(positive(x), lambda: x * w * table.lookup(tf.constant("b")), lambda: x)


@case
def cond_by_value_of_a_loop(x):
    w = weights()
    y = v1.while_loop(lambda i, y: i < 2, lambda i, y: (i + 1, y @ w), [0, x])[1]
    return v1.cond(positive(y), lambda: x * w, lambda: y)


@case
def float64(x):
    start = v1.constant_initializer(WEIGHTS)
    w = v1.get_variable("double", [2, 2], tf.float64, initializer=start)
    wide = tf.cast(x, tf.float64)
    return v1.cond(positive(x), lambda: tf.tanh(wide @ w), lambda: wide * w)


@pytest.mark.parametrize("build", case, ids=lambda build: build.__name__)
def test_as_in_tf1(build):
    check(build, X, -X)


def lookups_with_indices_from_outside(x):
    table = v1.get_variable(
        "table", [3, 2], initializer=v1.constant_initializer([1, 2, 3, 4, 5, 6])
    )
    indices = tf.cast(tf.math.ceil(x[:, 0] * 0.1), tf.int32)
    return v1.cond(positive(x), lambda: x * tf.gather(table, indices), lambda: x)


def lookup_inside_and_out(x):
    table = v1.get_variable(
        "table", [3, 2], initializer=v1.constant_initializer([1, 2, 3, 4, 5, 6])
    )
    y = v1.cond(positive(x), lambda: x * tf.gather(table, [0, 2]), lambda: x)
    return y + tf.gather(table, [1, 0])


@pytest.mark.parametrize("use_resource", [True, False])
@pytest.mark.parametrize("build", [lookups_with_indices_from_outside, lookup_inside_and_out])
def test_lookups_in_the_branch_that_runs(build, use_resource):
    # Where it does not run, TF1's own gradient has no value.
    check(build, X, use_resource=use_resource)


REFERENCES = [
    several_outputs,
    same_predicate_nested,
    same_predicate_twice_in_a_row,
    fused_batch_norm,
    batch_norm_that_updates_in_branches,
]


@pytest.mark.parametrize("build", REFERENCES, ids=lambda build: build.__name__)
def test_as_in_tf1_with_reference_variables(build):
    check(build, X, -X, use_resource=False)


def test_switch_and_merge_by_hand():
    """Without the name scope and the Identity of the predicate that tf.cond adds."""

    def build(x):
        false, true = tf.raw_ops.Switch(data=x, pred=positive(x))
        return tf.raw_ops.Merge(inputs=[true * true, false * 3.0])[0] * weights()

    check(build, X, -X)


def dropout(x, is_training):
    slope = weights()[0]
    return v1.cond(is_training, lambda: v1.nn.dropout(x * slope, rate=0.5), lambda: x * slope)


def test_dropout_fed_false_drops_nothing():
    fed = {"x": X, "is_training": np.array(False)}
    spec = publish(dropout, fed)
    assert_same(in_layer(spec, fed)[0], in_session(spec, fed)[0])


def test_dropout_has_one_mask_forward_and_backward():
    fed = {"x": np.tile(X, (100, 1)), "is_training": np.array(True)}
    (run,) = in_layer(publish(dropout, fed), fed)
    kept = run.output != 0
    assert 0.3 < kept.mean() < 0.7
    slope = np.where(kept, 2 * np.float32(WEIGHTS[0]), 0)
    np.testing.assert_allclose(run.output, fed["x"] * slope, 1e-6)
    np.testing.assert_allclose(run.gradients["x"], 2 * run.output * slope, 1e-6)
