"""Loops of TF1 against a session."""

import numpy as np
import pytest
import tensorflow as tf

from helpers.tf1_reference import (
    WEIGHTS,
    Cases,
    X,
    check,
    in_layer,
    positive,
    publish,
    v1,
    weights,
)

case = Cases()


def loop(x, steps=3, **options):
    w = weights()
    return v1.while_loop(
        lambda i, y: i < steps, lambda i, y: [i + 1, tf.tanh(y @ w)], [0, x], **options
    )[1]


@case
def one_iteration_at_a_time(x):
    return loop(x, parallel_iterations=1)


@case
def at_most_two_iterations(x):
    return loop(x, maximum_iterations=2)


@case
def at_most_so_many_iterations_as_computed(x):
    return loop(x, maximum_iterations=tf.cast(tf.reduce_sum(x), tf.int32) - 1)


@case
def no_iteration(x):
    return loop(x, 0) * weights()


@case
def so_many_iterations_as_a_cond_says(x):
    return loop(x, v1.cond(positive(x), lambda: 3, lambda: 2))


@case
def variable_that_only_the_condition_reads(x):
    w = weights()

    def body(i, y, done):
        return i + 1, y @ w, tf.reduce_sum(tf.abs(y)) < 2.0

    def more(i, _, done):
        return tf.logical_and(i < 9, tf.logical_not(done))

    return v1.while_loop(more, body, [0, x, False])[1]


@case
def condition_over_all_values(x):
    w = weights()
    return v1.while_loop(
        lambda i, y: tf.reduce_any(y > 0.01), lambda i, y: (i + 1, y @ w * 0.5), [0, x]
    )[1]


@case
def condition_that_reads_from_outside(x):
    w, limit = weights(), tf.shape(x)[0] + 1
    return v1.while_loop(
        lambda i, y: tf.logical_and(i < limit, positive(x)),
        lambda i, y: (i + 1, y @ w),
        [0, x],
    )[1]


@case
def condition_with_a_cond(x):
    w = weights()

    def more(i, y):
        return v1.cond(i < 1, lambda: tf.constant(True), lambda: tf.reduce_sum(y * y) < 100.0)

    return v1.while_loop(more, lambda i, y: (i + 1, y @ w * 4.0), [0, x])[1]


@case
def variables_that_swap(x):
    w = weights()
    return v1.while_loop(lambda i, *_: i < 3, lambda i, a, b: (i + 1, b, a @ w), [0, x, x * 2.0])[1]


@case
def variable_that_stays(x):
    w = weights()
    return v1.while_loop(
        lambda i, *_: i < 3, lambda i, a, b: (i + 1, a * b @ w, b), [0, x, x * 2.0]
    )[1]


@case
def one_result_for_two_variables(x):
    w = weights()

    def body(i, a, b):
        return i + 1, a @ w, a @ w

    _, a, b = v1.while_loop(lambda i, *_: i < 3, body, [0, x, x])
    return a + b


@case
def body_that_ignores_its_variable(x):
    w = weights()
    return (
        v1.while_loop(
            lambda i, y: i < 3,
            lambda i, y: (i + 1, tf.ones([2, 2]) * tf.cast(i, tf.float32)),
            [0, x],
            shape_invariants=[tf.TensorShape([]), tf.TensorShape([None, None])],
        )[1]
        * w
    )


@case
def values_from_outside(x):
    w = weights() * 2.0
    return v1.while_loop(
        lambda i, y: i < 3, lambda i, y: (i + 1, y @ w + tf.reduce_sum(x)), [0, x]
    )[1]


@case
def inner_loop_that_reads_from_all_around(x):
    w, outside = weights(), x * 3.0

    def outer(i, y):
        def inner(j, z):
            return j + 1, tf.tanh(z @ w + outside + tf.cast(i, tf.float32))

        return i + 1, v1.while_loop(lambda j, z: j < i + 1, inner, [0, y])[1]

    return v1.while_loop(lambda i, y: i < 2, outer, [0, x])[1]


@case
def three_deep(x):
    w = weights()

    def twice(step):
        return lambda y: v1.while_loop(lambda i, z: i < 2, lambda i, z: (i + 1, step(z)), [0, y])[1]

    return twice(twice(twice(lambda z: tf.tanh(z @ w))))(x)


@case
def one_after_the_other(x):
    with v1.name_scope("first"):
        y = loop(x, 2)
    with v1.name_scope("second"):
        return loop(y, 3) + y


@case
def cond_by_a_predicate_from_outside(x):
    w, p = weights(), positive(x)
    return v1.while_loop(
        lambda i, y: i < 3,
        lambda i, y: (i + 1, v1.cond(p, lambda: y @ w, lambda: y + 1.0)),
        [0, x],
    )[1]


@case
def loop_in_cond_in_loop(x):
    w = weights()

    def body(i, y):
        return i + 1, v1.cond(tf.equal(i % 2, 0), lambda: loop(y, 2), lambda: y * w + 1.0)

    return v1.while_loop(lambda i, y: i < 3, body, [0, x])[1]


@case
def cond_in_loop_in_cond(x):
    w = weights()

    def body(i, y):
        return i + 1, v1.cond(tf.equal(i % 2, 0), lambda: y @ w, lambda: y + 1.0)

    return v1.cond(
        positive(x), lambda: v1.while_loop(lambda i, y: i < 3, body, [0, x])[1], lambda: x
    )


@case
def conds_on_one_predicate_with_loops(x):
    p = positive(x)
    y = v1.cond(p, lambda: loop(x), lambda: x)
    return v1.cond(p, lambda: loop(y, 2), lambda: y)


@case
def integer_variables(x):
    start = [tf.constant(0, tf.int64), tf.cast(x, tf.int32)]
    return v1.while_loop(lambda i, s: i < 3, lambda i, s: (i + 1, s * 2), start)[1]


@case
def string_variables(x):
    def body(i, text):
        return i + 1, v1.string_join([text, tf.as_string(i)])

    start = [0, tf.as_string(tf.cast(x, tf.int32))]
    return v1.while_loop(lambda i, s: i < 3, body, start)[1]


@case
def string_variable_beside_a_gradient(x):
    w = weights()

    def body(i, text, y):
        return i + 1, v1.string_join([text, "x"]), y @ w

    _, text, y = v1.while_loop(lambda i, *_: i < 3, body, [0, "", x])
    return y * tf.cast(tf.strings.length(text), tf.float32)


@case
def beam_search(x):
    """Finished flags, sequences that grow, scores that stop."""
    w = weights()

    def more(i, sequences, scores, finished):
        return tf.logical_and(i < 4, tf.logical_not(tf.reduce_all(finished)))

    def body(i, sequences, scores, finished):
        logits = tf.nn.log_softmax(tf.one_hot(sequences[:, -1], 2) @ w)
        best = tf.argmax(scores[:, None] + logits, 1, tf.int32)
        better = scores + tf.reduce_max(logits, 1)
        return (
            i + 1,
            tf.concat([sequences, best[:, None]], 1),
            v1.where(finished, scores, better),
            tf.logical_or(finished, tf.equal(best, 0)),
        )

    start = [0, tf.ones([2, 1], tf.int32), tf.reduce_sum(x, 1), tf.zeros([2], tf.bool)]
    shapes = [[], [None, None], [None], [None]]
    _, sequences, scores, _ = v1.while_loop(
        more, body, start, shape_invariants=[tf.TensorShape(s) for s in shapes]
    )
    return scores + tf.cast(tf.reduce_sum(sequences, 1), tf.float32)


def embedding():
    start = v1.constant_initializer([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
    return v1.get_variable("table", [3, 2], initializer=start)


@case
def embedding_lookup(x):
    table = embedding()
    return v1.while_loop(
        lambda i, y: i < 3,
        lambda i, y: (i + 1, y * tf.nn.embedding_lookup(table, [i, 0])),
        [0, x],
    )[1]


@case
def lookup_by_several_indices(x):
    table = embedding()
    return v1.while_loop(
        lambda i, y: i < 2,
        lambda i, y: (i + 1, y * tf.gather_nd(table, [[i, 0], [0, 1]])),
        [0, x],
    )[1]


@case
def partitioned_embedding_lookup(x):
    parts = [
        v1.get_variable(f"part_{k}", [2, 2], initializer=v1.constant_initializer([[1, 2], [3, k]]))
        for k in range(2)
    ]
    return v1.while_loop(
        lambda i, y: i < 2,
        lambda i, y: (i + 1, y * tf.nn.embedding_lookup(parts, [i, 2])),
        [0, x],
    )[1]


@case
def lookup_table(x):
    w = weights()
    keys = tf.constant([0, 1, 2], tf.int64)
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(keys, tf.constant([5.0, 6.0, 7.0])), 0.0
    )
    return v1.while_loop(
        lambda i, y: i < 3,
        lambda i, y: (i + 1, tf.tanh(y @ w) * table.lookup(i)),
        [tf.constant(0, tf.int64), x],
    )[1]


@case
def assertion(x):
    w = weights()

    def body(i, y):
        with tf.control_dependencies([v1.assert_less(i, 10)]):
            return i + 1, tf.tanh(y @ w)

    return v1.while_loop(lambda i, y: i < 3, body, [0, x])[1]


@case
def stopped_gradient(x):
    w = weights()
    return v1.while_loop(
        lambda i, y: i < 3, lambda i, y: (i + 1, y @ w + tf.stop_gradient(y)), [0, x]
    )[1]


@case
def float64(x):
    start = v1.constant_initializer(WEIGHTS)
    w = v1.get_variable("double", [2, 2], tf.float64, initializer=start)

    def body(i, y):
        return i + 1, v1.cond(i < 1, lambda: tf.tanh(y @ w), lambda: y * w)

    return v1.while_loop(lambda i, y: i < 3, body, [0, tf.cast(x, tf.float64)])[1]


@pytest.mark.parametrize("build", case, ids=lambda build: build.__name__)
def test_as_in_tf1(build):
    check(build)


REFERENCES = [
    inner_loop_that_reads_from_all_around,
    cond_in_loop_in_cond,
    embedding_lookup,
    lookup_by_several_indices,
]


@pytest.mark.parametrize("build", REFERENCES, ids=lambda build: build.__name__)
def test_as_in_tf1_with_reference_variables(build):
    check(build, use_resource=False)


def test_lookup_in_cond_in_loop():
    """TF1 fails on its own gradient of this one; Python control flow does not."""

    def build(x):
        table = embedding()

        def body(i, y):
            return i + 1, v1.cond(
                i < 1,
                lambda: y * tf.nn.embedding_lookup(table, [0, 2]),
                lambda: y + tf.nn.embedding_lookup(table, [1, i]),
            )

        return v1.while_loop(lambda i, y: i < 3, body, [0, x])[1]

    (run,) = in_layer(publish(build, {"x": X}), {"x": X})
    x, table = tf.constant(X), tf.Variable([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = x * tf.gather(table, [0, 2])
        for i in (1, 2):
            y = y + tf.gather(table, [1, i])
        loss = tf.reduce_sum(y**2)
    slopes = [tf.convert_to_tensor(g) for g in tape.gradient(loss, [x, table])]
    np.testing.assert_allclose(run.output, y, 1e-6)
    np.testing.assert_allclose(run.gradients["x"], slopes[0], 1e-6)
    np.testing.assert_allclose(run.gradients["table"], slopes[1], 1e-6)


def test_assertion_that_fails_stops_the_call():
    def build(x):
        def body(i, y):
            with tf.control_dependencies([v1.assert_less(i, 2)]):
                return i + 1, y * 2.0

        return v1.while_loop(lambda i, y: i < 3, body, [0, x])[1]

    with pytest.raises(tf.errors.InvalidArgumentError):
        in_layer(publish(build, {"x": X}), {"x": X})
