"""Which ops share a device with which: in the graph, and where a module is applied."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import graph_pb2

import hub_keras_bridge as hub
from hub_keras_bridge.graphs import colocation

v1 = tf.compat.v1


def module_fn():
    x = v1.placeholder(tf.float32, [2], name="x")
    w = v1.get_variable("w", initializer=[3.0, 4.0])
    with v1.colocate_with(x):
        y = tf.add(x, 1.0, name="by_input")
    with v1.colocate_with(w):
        y = tf.multiply(y, w, name="by_variable")
    with v1.colocate_with(y):
        y = tf.multiply(y, 2.0, name="by_op")
    inner = tf.negative(x, name="inner")
    with v1.colocate_with(inner):
        y = tf.add(y, inner, name="by_inner")
    unneeded = tf.negative(x, name="unneeded")
    with v1.colocate_with(unneeded):
        y = tf.identity(y, name="by_unneeded")
    with tf.device("/device:CPU:1"):
        y = tf.identity(y, name="on_device")
    hub.add_signature(inputs=x, outputs=tf.add(y, 0.0))


def test_groups_and_devices_follow_to_where_the_module_is_applied():
    """The original library gives the same."""
    spec = hub.create_module_spec(module_fn)
    with tf.Graph().as_default() as graph:
        source = tf.constant([1.0, 2.0], name="source")
        with v1.colocate_with(source):
            given = tf.identity(source)
        module = hub.Module(spec)
        with tf.device("/job:worker"):
            module(given)

        def placed(name):
            op = graph.get_operation_by_name(f"module_apply_default/{name}")
            return op.colocation_groups(), op.device

        assert placed("by_input") == ([b"loc:@source"], "")
        assert placed("by_variable") == ([b"loc:@module/w"], "")
        assert placed("by_op") == ([b"loc:@module/w"], "")
        by_inner, _ = placed("by_inner")
        assert by_inner == [b"loc:@module_apply_default/inner"]
        by_unneeded, _ = placed("by_unneeded")
        assert by_unneeded == [b"loc:@module_apply_default/unneeded"]
        _, device = placed("on_device")
        assert device == "/job:worker/device:CPU:1"


def test_a_graph_with_constraints_runs_in_a_session_and_in_keras():
    spec = hub.create_module_spec(module_fn)
    expected = [(1 + 1) * 3 * 2 - 1, (2 + 1) * 4 * 2 - 2]
    two_devices = v1.ConfigProto(device_count={"CPU": 2}, allow_soft_placement=True)
    with tf.Graph().as_default(), v1.Session(config=two_devices) as session:
        y = hub.Module(spec)([1.0, 2.0])
        session.run(v1.global_variables_initializer())
        np.testing.assert_array_equal(session.run(y), expected)
    np.testing.assert_array_equal(hub.ModuleLayer(spec)(np.float32([1, 2])), expected)


def test_take_out():
    graph_def = graph_pb2.GraphDef()
    for name, groups in {"a": [], "b": ["a"], "c": ["a", "x"], "d": ["x", "y"]}.items():
        node = graph_def.node.add(name=name, op="NoOp")
        node.attr["_class"].list.s.extend(b"loc:@" + group.encode() for group in groups)
    taken = colocation.take_out(graph_def, {"a", "b", "c", "d"})
    assert taken == {"c": ("x",), "d": ("x", "y")}
    left = {node.name: list(node.attr["_class"].list.s) for node in graph_def.node}
    assert left["b"] == left["c"] == [b"loc:@a"]
    assert left["d"] == []


def beside_parts():
    x = v1.placeholder(tf.float32, [4], name="x")
    first, second = tf.split(x, 2)
    with v1.colocate_with(first):
        y = tf.add(first, second, name="beside")
    hub.add_signature(inputs={"first": first, "second": second}, outputs=y)


def test_ops_beside_parts_of_an_op():
    """As with the original: what is fed for the parts has to have one place."""
    spec = hub.create_module_spec(beside_parts)
    with tf.Graph().as_default() as graph:
        module = hub.Module(spec)
        parts = tf.split([1.0, 2.0, 3.0, 4.0], 2, name="parts")
        module({"first": parts[0], "second": parts[1]})
        op = graph.get_operation_by_name("module_apply_default/beside")
        assert op.colocation_groups() == [b"loc:@parts"]
        with pytest.raises(ValueError, match="not clear beside what") as caught:
            module({"first": parts[0], "second": tf.constant([1.0, 2.0], name="other")})
    assert (
        caught.value.expected == "tensors of one place for the outputs of 'split', which they "
        "stand by"
    )
    assert caught.value.found == "'other', 'parts' for 2 outputs"
