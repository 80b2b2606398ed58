"""TensorArrays in loops and conditionals of TF1, and what is made of them."""

import pytest
import tensorflow as tf

from helpers.tf1_reference import Cases, X, check, v1, weights

case = Cases()


def array(size, *, dtype=tf.float32, **options):
    return tf.TensorArray(dtype, size, **options)


def fill(made, size, value):
    """Writes ``value(i)`` to each place of an array."""
    return v1.while_loop(
        lambda i, _: i < size, lambda i, made: (i + 1, made.write(i, value(i))), [0, made]
    )[1]


def fold(steps, step, start):
    """The last of the values that ``step`` makes out of an index and the one before."""
    return v1.while_loop(lambda i, _: i < steps, lambda i, y: (i + 1, step(i, y)), [0, start])[1]


@case
def recurrent_network_over_growing_arrays(x):
    w = weights()
    given = array(0, dynamic_size=True).unstack(tf.stack([x, x + 1.0, x * 2.0]))

    def body(t, state, made):
        state = tf.tanh(state @ w + given.read(t))
        return t + 1, state, made.write(t, state)

    start = [0, tf.zeros_like(x), array(0, dynamic_size=True)]
    _, state, made = v1.while_loop(lambda t, *_: t < 3, body, start)
    return tf.reduce_sum(made.stack(), 0) + state


@case
def recurrent_network_over_ragged_lengths(x):
    w, lengths = weights(), tf.constant([1, 3])
    given = array(3).unstack(tf.stack([x, x + 1.0, x * 2.0]))

    def body(t, state, made):
        new = tf.tanh(state @ w + given.read(t))
        state = v1.where(t < lengths, new, state)
        return t + 1, state, made.write(t, v1.where(t < lengths, new, tf.zeros_like(new)))

    start = [0, tf.zeros_like(x), array(3)]
    _, state, made = v1.while_loop(lambda t, *_: t < tf.reduce_max(lengths), body, start)
    return tf.concat([state, tf.reshape(made.stack(), [-1, 2])], 0)


@case
def two_networks_that_read_each_other(x):
    w, steps = weights(), tf.shape(x)[0]

    def run(rows):
        given = array(steps).unstack(rows)

        def body(t, state, made):
            state = tf.tanh(tf.linalg.matvec(w, state) + given.read(t))
            return t + 1, state, made.write(t, state)

        start = [0, tf.zeros([2]), array(steps)]
        loop = v1.while_loop(lambda t, *_: t < steps, body, start, parallel_iterations=1)
        return loop[2].stack()

    forward = run(x)
    return forward + tf.reverse(run(tf.reverse(forward, [0])), [0])


@case
def gather(x):
    w = weights()
    made = fill(array(3), 3, lambda i: x @ w * tf.cast(i, tf.float32))
    return made.gather([2, 0])


@case
def gather_with_an_index_twice(x):
    w = weights()
    made = fill(array(3, clear_after_read=False), 3, lambda i: x @ w * tf.cast(i, tf.float32))
    return made.gather([0, 2, 2])


@case
def gather_with_indices_that_are_computed(x):
    w = weights()
    given = array(2, clear_after_read=False).unstack(x @ w)
    return fold(2, lambda i, y: y + tf.reduce_sum(given.gather([0, 1, i]), 0), x)


@case
def concat_of_different_lengths(x):
    w = weights()
    return fill(array(3, infer_shape=False), 3, lambda i: (x @ w)[: i + 1]).concat()


@case
def split_into_different_lengths(x):
    w = weights()
    given = array(2, infer_shape=False).split(tf.concat([x, x * w], 0), [1, 3])
    return fold(2, lambda i, y: y + tf.reshape(tf.reduce_sum(given.read(i), 0), [2]) * w, x)


@case
def size(x):
    w = weights()
    given = array(0, dynamic_size=True).unstack(x @ w)
    total = v1.while_loop(
        lambda i, y: i < given.size(), lambda i, y: (i + 1, y + given.read(i)), [0, x]
    )[1]
    return total * tf.cast(given.size(), tf.float32)


@case
def size_after_growing(x):
    w = weights()
    made = fill(array(0, dynamic_size=True), 4, lambda i: x @ w)
    return tf.cast(made.size(), tf.float32) * made.stack()


@case
def places_never_written(x):
    w = weights()
    made = v1.while_loop(
        lambda i, _: i < 2,
        lambda i, made: (i + 2, made.write(i, x @ w)),
        [0, array(2, element_shape=[2, 2])],
    )[1]
    return made.stack()


@case
def one_place_read_often(x):
    w = weights()
    given = array(2, clear_after_read=False).unstack(x)
    return fold(2, lambda i, y: y @ w + given.read(0) + given.read(i), x)


@case
def arrays_of_two_types(x):
    w = weights()
    a, b = array(2).unstack(x), array(2, dtype=tf.int32).unstack([3, 4])
    return fold(2, lambda i, y: y @ w + a.read(i) * tf.cast(b.read(i), tf.float32), x)


@case
def several_arrays_as_variables(x):
    w = weights()

    def body(i, a, b):
        return i + 1, a.write(i, x * w), b.write(i, i)

    start = [0, array(2), array(2, dtype=tf.int32)]
    _, a, b = v1.while_loop(lambda i, *_: i < 2, body, start)
    return a.stack() * tf.cast(b.stack(), tf.float32)[:, None, None]


@case
def read_in_an_inner_loop(x):
    w = weights()
    given = array(2, clear_after_read=False).unstack(x)
    return fold(2, lambda _, y: fold(2, lambda j, z: tf.tanh(z @ w + given.read(j)), y), x)


@case
def made_in_a_loop(x):
    w = weights()

    def step(_, y):
        return tf.reduce_sum(array(2).write(0, y).write(1, y @ w).stack(), 0)

    return fold(2, step, x)


@case
def beside_a_cond(x):
    w = weights()
    stacked = array(2).write(0, x).write(1, x @ w).stack()
    return stacked * v1.cond(tf.reduce_sum(x) > 0, lambda: 2.0, lambda: 3.0)


@case
def read_in_branches(x):
    w = weights()
    given = array(2).unstack(tf.stack([x, x @ w]))
    return v1.cond(tf.reduce_sum(x) > 0, lambda: given.read(1), lambda: given.read(0))


@case
def stacked_in_a_branch(x):
    w = weights()
    given = array(2).unstack(tf.stack([x, x * w]))
    return v1.cond(tf.reduce_sum(x) > 0, lambda: given.stack(), lambda: x[None])


@case
def concatenated_in_a_branch(x):
    w = weights()
    given = array(2).unstack(tf.stack([x, x * w]))
    return v1.cond(tf.reduce_sum(x) > 0, lambda: given.concat(), lambda: x)


@case
def gathered_in_a_branch_with_an_index_twice(x):
    w = weights()
    given = array(2, clear_after_read=False).unstack(x @ w)
    return v1.cond(tf.reduce_sum(x) > 0, lambda: given.gather([1, 1, 0]), lambda: x)


@case
def made_in_a_branch(x):
    w = weights()
    return v1.cond(
        tf.reduce_sum(x) > 0,
        lambda: array(2).write(0, x).write(1, x * w).stack(),
        lambda: x[None],
    )


@case
def written_in_branches(x):
    w, made = weights(), array(2)
    flow = v1.cond(
        tf.reduce_sum(x) > 0,
        lambda: made.write(0, x).write(1, x @ w).flow,
        lambda: made.write(0, x).write(1, x).flow,
    )
    return tf.TensorArray(tf.float32, handle=made.handle, flow=flow).stack()


@case
def map_fn(x):
    w = weights()
    return tf.map_fn(lambda row: tf.tanh(tf.linalg.matvec(w, row)), x)


@case
def map_fn_in_map_fn(x):
    w = weights()
    return tf.map_fn(lambda row: tf.map_fn(lambda each: each * tf.reduce_sum(w), row), x)


@case
def map_fn_of_several(x):
    w = weights()
    types = tf.float32, tf.int32
    a, b = v1.map_fn(lambda t: (t[0] * w[0], t[1] + 1), (x, tf.constant([1, 2])), types)
    return a * tf.cast(b, tf.float32)[:, None]


@case
def scan(x):
    w = weights()
    return tf.scan(lambda a, row: tf.tanh(tf.linalg.matvec(w, a) + row), x, tf.zeros([2]))


@case
def scan_from_the_end(x):
    w = weights()
    return tf.scan(lambda a, row: tf.tanh(tf.linalg.matvec(w, a) + row), x, reverse=True)


@case
def foldl(x):
    w = weights()
    return tf.foldl(lambda a, row: tf.tanh(tf.linalg.matvec(w, a) + row), x)


@case
def foldr(x):
    w = weights()
    return tf.foldr(lambda a, row: tf.tanh(tf.linalg.matvec(w, a) + row), x)


# What is in one branch alone needs both outcomes.
IN_BRANCHES = {
    beside_a_cond,
    read_in_branches,
    stacked_in_a_branch,
    concatenated_in_a_branch,
    made_in_a_branch,
    written_in_branches,
}


@pytest.mark.parametrize("build", case, ids=lambda build: build.__name__)
def test_as_in_tf1(build):
    check(build, *([X, -X] if build in IN_BRANCHES else [X]))
