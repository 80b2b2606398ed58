"""Embedding lookups stay sparse in functions, with the numbers and gradients they had."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import graph_pb2

import hub_keras_bridge as hub
from hub_keras_bridge.graphs import sparse_lookup
from hub_keras_bridge.graphs.graph import nodes_by_name

v1 = tf.compat.v1
ROWS, WIDTH = 50, 4
IDS = [[3, 3, 7], [49], [0, 49]]


def matrix():
    return np.random.RandomState(0).normal(size=[ROWS, WIDTH]).astype(np.float32)


def layer_of(combiner):
    def module_fn():
        ids = v1.sparse_placeholder(tf.int64, [None, None])
        embedding = v1.get_variable("embedding", initializer=matrix())
        found = v1.nn.embedding_lookup_sparse(embedding, ids, None, combiner=combiner)
        hub.add_signature(inputs={"ids": ids}, outputs=found)

    return hub.ModuleLayer(hub.create_module_spec(module_fn), trainable=True)


def expected(combiner):
    reduced = {
        "sum": lambda rows: rows.sum(0),
        "mean": lambda rows: rows.mean(0),
        "sqrtn": lambda rows: rows.sum(0) / np.sqrt(len(rows)),
    }[combiner]
    return np.stack([reduced(matrix()[ids]) for ids in IDS])


@pytest.mark.parametrize("combiner", ["sum", "mean", "sqrtn"])
def test_numbers_and_gradients(combiner):
    layer, ids = layer_of(combiner), tf.ragged.constant(IDS, tf.int64).to_sparse()
    np.testing.assert_allclose(layer({"ids": ids}), expected(combiner), rtol=1e-6)
    function = tf.function(lambda: layer({"ids": ids}))
    np.testing.assert_allclose(function(), expected(combiner), rtol=1e-6)
    weight = layer.variable_map["embedding"].value
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(function())
    gradient = tape.gradient(total, weight)
    # Of the rows that were used, not of all.
    assert isinstance(gradient, tf.IndexedSlices)
    power = {"sum": 0.0, "mean": -1.0, "sqrtn": -0.5}[combiner]
    counted = np.zeros([ROWS, WIDTH], np.float32)
    for row in IDS:
        for each in row:
            counted[each] += len(row) ** power
    np.testing.assert_allclose(tf.convert_to_tensor(gradient), counted, rtol=1e-6)


def test_a_layers_function_has_it():
    layer, ids = layer_of("mean"), tf.ragged.constant(IDS, tf.int64).to_sparse()
    function = tf.function(lambda: layer({"ids": ids})).get_concrete_function()
    library = function.graph.as_graph_def().library.function
    assert "EnsureShape" in {node.op for each in library for node in each.node_def}


def test_only_rows_of_known_variables_are_kept():
    graph_def = graph_pb2.GraphDef()

    def add(name, op, *inputs):
        graph_def.node.add(name=name, op=op, input=inputs)

    add("known", "Placeholder")
    add("other", "Placeholder")
    add("ids", "Placeholder")
    add("distinct", "Unique", "ids")
    add("rows", "ResourceGather", "known", "distinct")
    add("reduced", "SparseSegmentMean", "rows", "distinct:1", "ids", "^rows")
    add("other_rows", "ResourceGather", "other", "distinct")
    add("all_rows", "ResourceGather", "known", "ids")
    add("sum", "AddN", "other_rows", "all_rows")
    sparse_lookup.keep(graph_def, {"known": (ROWS, WIDTH)})
    nodes = nodes_by_name(graph_def)
    assert list(nodes["reduced"].input) == ["rows/kept_sparse", "distinct:1", "ids", "^rows"]
    assert list(nodes["sum"].input) == ["other_rows", "all_rows"]
    assert [dim.size for dim in nodes["rows/kept_sparse"].attr["shape"].shape.dim] == [-1, WIDTH]
    assert sum(node.op == "EnsureShape" for node in graph_def.node) == 1
