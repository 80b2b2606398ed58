"""A function that TensorFlow's optimizer goes over once, if it is called eagerly."""

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2
from tensorflow.python.eager import context

from hub_keras_bridge.compat.optimizer import OptimizedOnce

ONE = rewriter_config_pb2.RewriterConfig.ONE


def rewriting():
    """What the optimizer is told to do with a function that is called now."""
    serialized = context.context().function_call_options.config_proto_serialized
    return config_pb2.ConfigProto.FromString(serialized).graph_options.rewrite_options


@pytest.fixture
def told():
    """A function that notes what the optimizer is told when it is called."""
    seen = []

    def double(x):
        seen.append(rewriting())
        return x * 2.0

    function = OptimizedOnce(double)
    function.seen = seen
    return function


def test_goes_over_it_once(told):
    before = rewriting()
    assert told(tf.constant(3.0)).numpy() == 6.0
    assert told.seen[0].meta_optimizer_iterations == ONE
    assert told.seen[0].remapping == before.remapping
    assert rewriting() == before != told.seen[0]


def test_also_after_an_error():
    before = rewriting()

    def fails():
        raise ValueError("so")

    with pytest.raises(ValueError, match="so"):
        OptimizedOnce(fails)()
    assert rewriting() == before


def test_in_another_function_that_one_is_what_counts(told):
    assert tf.function(told, autograph=False)(tf.constant(3.0)).numpy() == 6.0
    assert [each.meta_optimizer_iterations for each in told.seen] == [0]


def test_does_what_a_user_says(told):
    tf.config.optimizer.set_experimental_options({"constant_folding": False})
    try:
        expected = rewriting()
        told(tf.constant(3.0))
    finally:
        tf.config.optimizer.set_experimental_options({})
    assert told.seen == [expected]


def test_numbers_gradients_and_variables():
    variable = tf.Variable([2.0, 3.0])
    function = tf.compat.v1.wrap_function(
        lambda x: tf.nn.relu(x * variable) + 1.0, [tf.TensorSpec([None, 2], tf.float32)]
    )
    once, x = OptimizedOnce(function), tf.constant([[1.0, -1.0]])
    with tf.GradientTape() as tape:
        y = once(x)
    assert y.numpy().tolist() == [[3.0, 1.0]]
    assert tape.gradient(y, variable).numpy().tolist() == [1.0, 0.0]
    assert [each.ref() for each in once.variables] == [variable.ref()]
    assert OptimizedOnce(lambda x: x).variables == ()
