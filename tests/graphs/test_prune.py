"""What is left of a graph once it is cut."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_shape_pb2

from hub_keras_bridge import FormatError
from hub_keras_bridge.graphs.graph import nodes_by_name, upstream
from hub_keras_bridge.graphs.prune import Placeholder, prune

v1 = tf.compat.v1
FLOAT = tf.float32.as_datatype_enum


def graph_def_of(build):
    with tf.Graph().as_default() as graph:
        build()
        return graph.as_graph_def()


def values(pruned, fetches, feeds):
    """Runs what is left; feeds are by the tensor that was cut."""
    with tf.Graph().as_default(), v1.Session() as session:
        tf.graph_util.import_graph_def(pruned.graph_def, name="")
        return session.run(fetches, {pruned.placeholders[t]: v for t, v in feeds.items()})


def sum_of_two():
    x = v1.placeholder(tf.float32, [None], name="x")
    unread = v1.placeholder(tf.float32, [None], name="unread")
    tf.add(tf.square(x, name="square"), 1.0, name="sum")
    tf.negative(unread, name="other")


def test_keeps_what_the_targets_need():
    original = graph_def_of(sum_of_two)
    pruned = prune(original, ["sum:0"], {})
    assert {node.name for node in pruned.graph_def.node} == upstream(
        nodes_by_name(original), ["sum"]
    )
    assert pruned.graph_def.versions == original.versions
    assert pruned.placeholders == {}


def test_a_cut_tensor_has_a_placeholder_in_its_place():
    pruned = prune(graph_def_of(sum_of_two), ["sum:0"], {"square:0": Placeholder(FLOAT)})
    assert pruned.placeholders == {"square:0": "square:0"}
    nodes = nodes_by_name(pruned.graph_def)
    assert nodes["square"].op == "Placeholder"
    assert "x" not in nodes
    np.testing.assert_allclose(values(pruned, "sum:0", {"square:0": [4.0]}), [5.0])


def test_a_cut_tensor_that_is_wanted_has_one_though_nothing_reads_it():
    cut = {name: Placeholder(FLOAT) for name in ("square:0", "unread:0")}
    pruned = prune(graph_def_of(sum_of_two), ["square:0"], cut)
    assert pruned.placeholders == {"square:0": "square:0"}
    assert [(node.name, node.op) for node in pruned.graph_def.node] == [("square", "Placeholder")]


def test_a_wanted_tensor_of_an_op_that_is_needed_for_another():
    def build():
        tf.split(tf.constant([1.0, 2.0]), 2, name="split")

    cut = {"split:0": Placeholder(FLOAT)}
    pruned = prune(graph_def_of(build), ["split:0", "split:1"], cut)
    assert pruned.placeholders == {"split:0": "split_0/cut:0"}
    fetches = ["split_0/cut:0", "split:1"]
    first, second = values(pruned, fetches, {"split:0": [5.0]})
    assert (first, second) == ([5.0], [2.0])


def test_a_cut_tensor_that_nothing_reads_has_none():
    cut = {name: Placeholder(FLOAT) for name in ("x:0", "unread:0")}
    pruned = prune(graph_def_of(sum_of_two), ["sum:0"], cut)
    assert pruned.placeholders == {"x:0": "x:0"}


def test_placeholder_has_the_shape_given():
    shape = tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=7)])
    pruned = prune(graph_def_of(sum_of_two), ["sum:0"], {"x:0": Placeholder(FLOAT, shape)})
    node = nodes_by_name(pruned.graph_def)["x"]
    assert node.attr["shape"].shape == shape
    assert node.attr["dtype"].type == FLOAT


def split():
    x = v1.placeholder(tf.float32, [4], name="x")
    parts = tf.split(x, 2, name="split")
    tf.subtract(parts[0], parts[1], name="difference")
    tf.add(parts[1], parts[1], name="twice_second")


def test_one_output_of_several_is_cut():
    pruned = prune(graph_def_of(split), ["difference:0"], {"split:1": Placeholder(FLOAT)})
    # The node stays, for its other output.
    assert nodes_by_name(pruned.graph_def)["split"].op == "Split"
    with tf.Graph().as_default(), v1.Session() as session:
        tf.graph_util.import_graph_def(pruned.graph_def, name="")
        feed = {"x:0": [1.0, 2.0, 3.0, 4.0], pruned.placeholders["split:1"]: [10.0, 20.0]}
        np.testing.assert_allclose(session.run("difference:0", feed), [-9.0, -18.0])


def test_first_output_is_cut_where_the_node_stays():
    pruned = prune(graph_def_of(split), ["difference:0"], {"split:0": Placeholder(FLOAT)})
    assert nodes_by_name(pruned.graph_def)["split"].op == "Split"
    assert pruned.placeholders["split:0"] != "split:0"


def test_all_outputs_are_cut():
    cut = {"split:0": Placeholder(FLOAT), "split:1": Placeholder(FLOAT)}
    pruned = prune(graph_def_of(split), ["difference:0", "twice_second:0"], cut)
    assert "x" not in nodes_by_name(pruned.graph_def)
    difference, twice = values(
        pruned,
        ["difference:0", "twice_second:0"],
        {"split:0": [1.0, 2.0], "split:1": [5.0, 7.0]},
    )
    np.testing.assert_allclose(difference, [-4.0, -5.0])
    np.testing.assert_allclose(twice, [10.0, 14.0])


def after_x():
    x = v1.placeholder(tf.float32, [], name="x")
    with tf.control_dependencies([x]):
        first = tf.constant(1.0, name="first")
    with tf.control_dependencies([first.op]):
        tf.constant(2.0, name="second")


def test_control_edges_from_cut_nodes_go_and_others_stay():
    pruned = prune(graph_def_of(after_x), ["second:0"], {"x:0": Placeholder(FLOAT)})
    nodes = nodes_by_name(pruned.graph_def)
    assert list(nodes["first"].input) == []
    assert list(nodes["second"].input) == ["^first"]
    assert set(nodes) == {"first", "second"}


def test_devices_go_and_functions_stay():
    def build():
        with tf.device("/device:GPU:7"):
            tf.constant(1.0, name="a")
        tf.identity(tf.function(lambda: tf.constant(2.0))(), name="b")

    original = graph_def_of(build)
    assert nodes_by_name(original)["a"].device
    pruned = prune(original, ["a:0"], {})
    assert [(node.name, node.device) for node in pruned.graph_def.node] == [("a", "")]
    assert pruned.graph_def.library == original.library


def test_the_original_is_not_changed():
    original = graph_def_of(after_x)
    copy = type(original).FromString(original.SerializeToString())
    prune(original, ["second:0"], {"x:0": Placeholder(FLOAT)})
    assert original == copy


def test_a_missing_target_is_an_error():
    with pytest.raises(FormatError, match="'absent'"):
        prune(graph_def_of(split), ["absent:0"], {})
