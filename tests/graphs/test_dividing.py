"""A graph in three parts, of which the middle is numbers alone."""

import pytest
import tensorflow as tf

from hub_keras_bridge.graphs.dividing import divide, without_waiting
from hub_keras_bridge.graphs.graph import nodes_by_name

v1 = tf.compat.v1


def built(make):
    """The graph that a function makes, and the names of what it returns."""
    with tf.Graph().as_default() as graph:
        fetches = make()
        return graph.as_graph_def(), [tensor.name for tensor in tf.nest.flatten(fetches)]


def divided(make):
    graph_def, fetches = built(make)
    return divide(graph_def, fetches)


def numbers(name="x", shape=(None, 2)):
    return v1.placeholder(tf.float32, shape, name=name)


def strings(name="s"):
    return v1.placeholder(tf.string, [None], name=name)


def test_numbers_alone():
    found = divided(lambda: tf.multiply(numbers() * 2.0, 3.0, name="y"))
    assert (found.entering, found.leaving) == (("x:0",), ("y:0",))
    assert (found.first, found.last, found.effects) == ((), (), ())


def test_strings_before():
    def make():
        length = tf.strings.length(strings(), name="length")
        return tf.add(tf.cast(length, tf.float32), numbers("x", [None]), name="y")

    found = divided(make)
    assert (found.first, found.entering) == (("length:0",), ("length:0", "x:0"))
    assert (found.leaving, found.last) == (("y:0",), ())


def test_strings_behind():
    def make():
        twice = tf.multiply(numbers(), 2.0, name="twice")
        return tf.strings.as_string(twice, name="shown"), twice

    found = divided(make)
    assert (found.first, found.entering, found.leaving) == ((), ("x:0",), ("twice:0",))
    assert found.last == ("shown:0",)


def test_what_strings_are_made_of_from_which_numbers_are_made():
    def make():
        twice = tf.multiply(numbers("x", [None]), 2.0, name="twice")
        length = tf.strings.length(tf.strings.as_string(twice), name="length")
        return tf.add(tf.cast(length, tf.float32), twice, name="y")

    found = divided(make)
    assert found.first == ("length:0", "twice:0")
    assert found.entering == ("length:0", "twice:0")
    assert "twice" not in found.numeric


def test_weights_go_where_they_are_read():
    """They do not enter the middle from TensorFlow in each call."""

    def make():
        weight = tf.constant([1.0, 2.0], name="weight")
        shown = tf.strings.as_string(tf.reduce_sum(numbers() * weight, 1))
        length = tf.strings.length(shown, name="length")
        return tf.tensordot(tf.cast(length, tf.float32), weight[:1], 0, name="y")

    found = divided(make)
    assert found.first == found.entering == ("length:0",)


def test_nothing_of_numbers():
    found = divided(lambda: tf.strings.upper(strings(), name="upper"))
    assert (found.numeric, found.last) == (frozenset(), ("upper:0",))


def test_inputs_and_constants_that_are_fetched():
    found = divided(lambda: [numbers(), tf.constant(1.0, name="one")])
    assert (found.entering, found.leaving, found.last) == ((), (), ("one:0",))


def test_assertions_run_with_the_first_part():
    def make():
        x = numbers()
        with tf.control_dependencies([v1.assert_positive(x), tf.no_op(name="idle")]):
            return tf.identity(x * 2.0, name="y")

    graph_def, fetches = built(make)
    found = divide(graph_def, fetches)
    nodes = nodes_by_name(graph_def)
    assert found.effects
    assert "idle" not in found.effects
    assert found.numeric >= {"y"}
    assert not any(nodes[name].op == "Assert" for name in found.numeric)
    assert not any(r.startswith("^") for n in without_waiting(graph_def).node for r in n.input)


def test_lists_stay_on_one_side():
    def make():
        handle = tf.raw_ops.TensorListFromTensor(
            tensor=numbers("x", [3, 2]), element_shape=tf.constant([2])
        )
        item = tf.raw_ops.TensorListGetItem(
            input_handle=handle, index=0, element_shape=[2], element_dtype=tf.float32
        )
        shown = tf.raw_ops.TensorListStack(
            input_handle=handle, element_shape=[2], element_dtype=tf.float32
        )
        length = tf.strings.length(tf.strings.as_string(shown))
        return tf.identity(item, name="item"), tf.reduce_sum(length, name="length")

    found = divided(make)
    assert not any("TensorList" in name for name in found.numeric)


@pytest.mark.parametrize(
    "op",
    [lambda x: tf.random.uniform([2]) + x, lambda x: tf.strings.to_number(tf.strings.as_string(x))],
)
def test_functions_with_effects_are_tensorflows(op):
    function = tf.function(op, input_signature=[tf.TensorSpec([2])], autograph=False)
    found = divided(lambda: tf.identity(function(numbers("x", [2])) * 2.0, name="y"))
    assert not any("Call" in name for name in found.numeric)
    assert "y" in found.numeric


def test_functions_of_numbers_are_numbers():
    function = tf.function(lambda x: x * 2.0, input_signature=[tf.TensorSpec([2])])
    found = divided(lambda: tf.identity(function(numbers("x", [2])) * 2.0, name="y"))
    assert (found.first, found.entering) == ((), ("x:0",))


def test_long_graphs():
    """Time grows with the graph, not with its square."""

    def make():
        x = numbers("x", [2])
        for _ in range(3000):
            x = tf.identity(x)
        return x

    assert len(divided(make).numeric) == 3000
