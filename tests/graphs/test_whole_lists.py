"""Lists that are filled or read as a whole."""

import numpy as np
import pytest
import tensorflow as tf

from hub_keras_bridge.graphs.whole_lists import as_a_whole

SHAPE = tf.TensorShape([None, 2])


def graph_of(indices, limit, size):
    """Fills a list with the rows of a tensor, and gathers them again."""
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, SHAPE, name="x")
        made = tf.raw_ops.TensorListReserve(
            element_shape=tf.constant([2]), num_elements=size(x), element_dtype=tf.float32
        )
        filled = tf.raw_ops.TensorListScatterIntoExistingList(
            input_handle=made, tensor=x, indices=indices(limit(x))
        )
        length = tf.raw_ops.TensorListLength(input_handle=filled)
        back = tf.raw_ops.TensorListGather(
            input_handle=filled,
            indices=indices(length),
            element_shape=[2],
            element_dtype=tf.float32,
        )
        tf.identity(back, name="y")
        return graph.as_graph_def()


def run(graph_def, x):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.graph_util.import_graph_def(graph_def, name="")
        return session.run("y:0", {"x:0": x})


@pytest.mark.parametrize(
    ("limit", "size"),
    [(lambda x: tf.shape(x)[0], lambda x: tf.shape(x)[0]), (lambda _: 3, lambda _: 3)],
)
def test_all_indices(limit, size):
    graph_def = graph_of(tf.range, limit, size)
    x = np.random.default_rng(0).random((3, 2)).astype(np.float32)
    expected = run(graph_def, x)
    as_a_whole(graph_def)
    ops = {node.op for node in graph_def.node}
    assert {"TensorListFromTensor", "TensorListStack"} <= ops
    assert not {"TensorListScatterIntoExistingList", "TensorListGather"} & ops
    np.testing.assert_array_equal(run(graph_def, x), expected)


@pytest.mark.parametrize(
    ("indices", "limit", "size"),
    [
        (lambda n: tf.range(n)[::-1], lambda x: tf.shape(x)[0], lambda x: tf.shape(x)[0]),
        (lambda n: tf.range(1, n), lambda x: tf.shape(x)[0] + 1, lambda x: tf.shape(x)[0] + 1),
        (tf.range, lambda _: 3, lambda _: 4),
        (tf.range, lambda x: tf.shape(x)[1], lambda x: tf.shape(x)[0]),
    ],
)
def test_other_indices_stay(indices, limit, size):
    graph_def = graph_of(indices, limit, size)
    as_a_whole(graph_def)
    assert "TensorListScatterIntoExistingList" in {node.op for node in graph_def.node}
