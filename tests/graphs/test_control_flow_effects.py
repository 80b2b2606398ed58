"""Assignments and update ops in loops and conditionals of TF1.

Each is compared with a session in what the variables are afterwards, too.
"""

import pytest
import tensorflow as tf

from helpers.tf1_reference import HOW, ON_VALUES, Cases, X, check, positive, v1, weights

case = Cases()


def counter(name="counter", start=0.0):
    return v1.get_variable(name, [], initializer=v1.constant_initializer(start), trainable=False)


def update(op):
    v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, op)


@case
def cond_as_update(x):
    c = counter()
    update(
        v1.cond(
            positive(x),
            lambda: tf.identity(v1.assign_add(c, tf.reduce_sum(x))),
            lambda: tf.identity(v1.assign_sub(c, 7.0)),
        )
    )
    return x * weights()


@case
def cond_without_values_as_update(x):
    a, b = counter("a"), counter("b")
    group = lambda: tf.group(v1.assign_add(a, 1.0), v1.assign_add(b, 2.0))  # noqa: E731
    update(v1.cond(positive(x), group, tf.no_op))
    return x * weights()


@case
def update_made_in_each_branch(x):
    c, w = counter(), weights()

    def add():
        update(v1.assign_add(c, tf.reduce_sum(x)).op)
        return x * w

    def subtract():
        update(v1.assign_sub(c, 5.0).op)
        return x

    return v1.cond(positive(x), add, subtract)


@case
def two_updates_made_in_one_branch(x):
    a, b, w = counter("a"), counter("b"), weights()

    def branch():
        update(v1.assign_add(a, tf.reduce_sum(x)).op)
        update(v1.assign_add(b, 3.0).op)
        return x * w

    return v1.cond(positive(x), branch, lambda: x)


@case
def updates_made_under_one_predicate_in_two_conds(x):
    a, b, w, p = counter("a"), counter("b"), weights(), positive(x)

    def first():
        update(v1.assign_add(a, tf.reduce_sum(x)).op)
        return x * w

    def second():
        update(v1.assign_add(b, tf.reduce_sum(y)).op)
        return y + 1.0

    y = v1.cond(p, first, lambda: x)
    return v1.cond(p, second, lambda: y)


@case
def update_made_two_branches_deep(x):
    c, w = counter(), weights()

    def branch():
        update(v1.assign_add(c, tf.reduce_sum(x)).op)
        return x * w

    inner = lambda: v1.cond(tf.reduce_max(x) > 1.0, branch, lambda: x)  # noqa: E731
    return v1.cond(positive(x), inner, lambda: x)


@case
def update_made_in_a_branch_that_nobody_reads(x):
    c = counter()

    def branch():
        update(v1.assign_add(c, tf.reduce_sum(x)).op)
        return x

    v1.cond(positive(x), branch, lambda: x)
    return x * v1.cond(positive(x), lambda: weights(), lambda: weights() + 1.0)


@case
def update_with_a_loop_made_in_a_branch(x):
    c, w = counter(), weights()

    def branch():
        y = v1.while_loop(lambda i, y: i < 2, lambda i, y: (i + 1, y @ w), [0, x])[1]
        update(v1.assign_add(c, tf.reduce_sum(y)).op)
        return y

    return v1.cond(positive(x), branch, lambda: x)


@case
def read_after_assignment_in_a_branch(x):
    c, w = counter(start=2.0), weights()

    def branch():
        with tf.control_dependencies([v1.assign_add(c, 1.0)]):
            return x * c.read_value() * w

    return v1.cond(positive(x), branch, lambda: x)


@case
def read_after_a_cond_that_assigns(x):
    c = counter(start=2.0)
    assigned = v1.cond(
        positive(x), lambda: tf.identity(v1.assign(c, 5.0)), lambda: tf.constant(0.0)
    )
    with tf.control_dependencies([assigned]):
        return x * c.read_value() * weights()


@case
def read_after_a_cond_that_assigns_and_returns_nothing(x):
    c = counter(start=2.0)
    assigned = v1.cond(positive(x), lambda: v1.assign_add(c, 1.0).op, tf.no_op)
    with tf.control_dependencies([assigned]):
        return x * c.read_value() * weights()


@case
def assignment_before_a_loop(x):
    c, w = counter(start=1.0), weights()
    with tf.control_dependencies([v1.assign_add(c, 2.0)]):
        y = v1.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y @ w), [0, x])[1]
        return y * c.read_value()


@case
def loop_run_for_its_effect(x):
    c = counter()

    def body(i):
        with tf.control_dependencies([v1.assign_add(c, 1.0)]):
            return i + 1

    last = v1.while_loop(lambda i: i < 3, body, [0])
    with tf.control_dependencies([last]):
        return x * weights() * c.read_value()


@case
def assignment_by_cond_in_a_loop(x):
    c, w = counter(), weights()

    def body(i, y):
        assigned = v1.cond(
            i < 2,
            lambda: tf.identity(v1.assign_add(c, 1.0)),
            lambda: tf.identity(v1.assign_sub(c, 10.0)),
        )
        with tf.control_dependencies([assigned]):
            return i + 1, y @ w

    loop = v1.while_loop(lambda i, y: i < 3, body, [0, x], parallel_iterations=1)
    return loop[1]


@pytest.mark.parametrize("how", [HOW[0], ON_VALUES])
@pytest.mark.parametrize("use_resource", [True, False], ids=["resource", "reference"])
@pytest.mark.parametrize("build", case, ids=lambda build: build.__name__)
def test_as_in_tf1(build, use_resource, how):
    check(build, X, -X, use_resource=use_resource, how=how)


# A gradient of TF1 reads a reference variable when it gets to it, which may be
# after a later assignment: of these, only resource variables have one answer.


def assign_last(variable, value):
    with tf.control_dependencies([value]):
        update(v1.assign(variable, tf.ones_like(variable)).op)
    return value


def weights_that_are_assigned_read_in_a_loop(x):
    w = weights()
    return assign_last(
        w, v1.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, tf.tanh(y @ w)), [0, x])[1]
    )


def weights_that_are_assigned_read_in_a_branch(x):
    w = weights()
    return assign_last(w, v1.cond(positive(x), lambda: x @ w, lambda: x))


def weights_that_are_assigned_looked_up_in_a_loop(x):
    w = weights()
    return assign_last(
        w,
        v1.while_loop(lambda i, y: i < 2, lambda i, y: (i + 1, y * tf.gather(w, [i, 0])), [0, x])[
            1
        ],
    )


def weights_that_are_assigned_read_in_cond_in_loop(x):
    w = weights()

    def body(i, y):
        return i + 1, v1.cond(i < 2, lambda: y @ w, lambda: y + w)

    return assign_last(w, v1.while_loop(lambda i, y: i < 3, body, [0, x])[1])


def read_after_assignment_in_a_loop(x):
    c, w = counter(start=1.0), weights()

    def body(i, y):
        with tf.control_dependencies([v1.assign_add(c, 2.0)]):
            return i + 1, y * c.read_value()

    loop = v1.while_loop(lambda i, y: i < 3, body, [0, x], parallel_iterations=1)
    return loop[1] * w


@pytest.mark.parametrize("how", [HOW[0], ON_VALUES])
@pytest.mark.parametrize(
    "build",
    [
        weights_that_are_assigned_read_in_a_loop,
        weights_that_are_assigned_read_in_a_branch,
        weights_that_are_assigned_looked_up_in_a_loop,
        weights_that_are_assigned_read_in_cond_in_loop,
        read_after_assignment_in_a_loop,
    ],
    ids=lambda build: build.__name__,
)
def test_as_in_tf1_with_resource_variables(build, how):
    check(build, how=how)
