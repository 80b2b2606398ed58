"""Control flow that no While or If can stand for: it runs, without gradients."""

import logging

import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.tf1_reference import X, in_session, publish, v1, weights
from hub_keras_bridge.plans.program import Program


def positive(x):
    return tf.reduce_sum(x) > 0


def switch(x):
    return tf.raw_ops.Switch(data=x, pred=positive(x))


def which_input_a_merge_took(x):
    false, true = switch(x)
    merged, index = tf.raw_ops.Merge(inputs=[false * 2.0, true * weights()])
    return merged * tf.cast(index, tf.float32)


def merge_of_three(x):
    false, true = switch(x)
    _, twice = tf.raw_ops.Switch(data=false, pred=positive(false))
    return tf.raw_ops.Merge(inputs=[true * weights(), twice, false])[0]


def merge_under_two_predicates(x):
    false, _ = switch(x)
    _, true = tf.raw_ops.Switch(data=x, pred=tf.reduce_max(x) > 0)
    return tf.raw_ops.Merge(inputs=[false, true * weights()])[0]


def merges_of_one_scope_in_a_row(x):
    with v1.name_scope("scope"):
        p, w = positive(x), weights()
        false, true = tf.raw_ops.Switch(data=x, pred=p)
        y = tf.raw_ops.Merge(inputs=[false * 1.0, true * w])[0]
        false, true = tf.raw_ops.Switch(data=y, pred=p)
        return tf.raw_ops.Merge(inputs=[false + 1.0, true * 2.0])[0]


def value_from_within_a_branch(x):
    w, inside = weights(), []

    def branch():
        inside.append(x * w)
        return inside[0] + 1.0

    v1.cond(positive(x), branch, lambda: x)
    return inside[0]


def loop(x):
    w = weights()
    return v1.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, tf.tanh(y @ w)), [0, x])[1]


def gradient_of_a_loop(x):
    return tf.gradients(tf.reduce_sum(loop(x) ** 2), x)[0]


def gradient_of_a_loop_over_arrays(x):
    return tf.gradients(tf.reduce_sum(tf.map_fn(lambda row: row * weights()[0], x) ** 2), x)[0]


@pytest.mark.parametrize(
    "build",
    [
        which_input_a_merge_took,
        merge_of_three,
        merge_under_two_predicates,
        merges_of_one_scope_in_a_row,
        value_from_within_a_branch,
        gradient_of_a_loop,
        gradient_of_a_loop_over_arrays,
    ],
    ids=lambda build: build.__name__,
)
def test_runs_as_it_is_with_a_warning(build, caplog):
    spec = publish(build, {"x": X})
    with caplog.at_level(logging.WARNING, "absl"):
        layer = hub.ModuleLayer(spec)
    assert "left as it is, without gradients" in caplog.text
    assert not Program(spec.variant(())).call("default", ["default"], training=False).differentiable
    np.testing.assert_allclose(layer(X), _forward_in_session(spec), 1e-6)


def _forward_in_session(spec):
    published = spec.variant(()).published
    signature = published.signature_def["default"]
    with tf.Graph().as_default(), v1.Session() as session:
        v1.train.import_meta_graph(published)
        session.run(v1.global_variables_initializer())
        return session.run(signature.outputs["default"].name, {signature.inputs["x"].name: X})


@pytest.mark.parametrize("source", ["input", "weights"])
def test_refuses_gradients(source):
    layer = hub.ModuleLayer(publish(which_input_a_merge_took, {"x": X}), trainable=True)
    layer.build()
    x = tf.constant(X)
    watched = x if source == "input" else layer.variable_map["w"].value

    def slope():
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(watched)
            y = tf.reduce_sum(layer(x))
        return tape.gradient(y, watched)

    with pytest.raises(LookupError, match="its gradient cannot be trusted"):
        slope()


def test_update_op_within_a_loop_is_named(caplog):
    def build(x):
        counter = v1.get_variable("c", [], initializer=v1.zeros_initializer(), trainable=False)

        def body(i, y):
            v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, v1.assign_add(counter, 1.0).op)
            return i + 1, y @ weights()

        return v1.while_loop(lambda i, y: i < 3, body, [0, x])[1]

    spec = publish(build, {"x": X})
    with caplog.at_level(logging.WARNING, "absl"):
        training = Program(spec.variant(())).call("default", ["default"], training=True)
    assert not training.differentiable
    assert "'while/AssignAddVariableOp' is wanted from within loop" in caplog.text
    # A call that runs no updates is not affected.
    np.testing.assert_allclose(hub.ModuleLayer(spec)(X), in_session(spec, {"x": X})[0].output, 1e-6)
