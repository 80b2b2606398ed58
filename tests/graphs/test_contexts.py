"""Contexts of v1 control flow, and gradients of modules with it in a session."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import control_flow_pb2

import hub_keras_bridge as hub
from helpers.tf1_reference import v1, v1_control_flow
from hub_keras_bridge.graphs import contexts

KEYS = v1.GraphKeys
START = np.array([1.1, 0.9], np.float32)


def variable(use_resource):
    with v1.variable_scope("", reuse=v1.AUTO_REUSE):
        return v1.get_variable("w", initializer=tf.constant(START), use_resource=use_resource)


def loop_with_branch(x, w):
    """Each branch is taken in some iteration of some input."""

    def body(i, a):
        scaled = lambda: a * 0.5  # noqa: E731
        return i + 1, v1.cond(tf.reduce_sum(a) > 4.0, scaled, lambda: a * w[0] + tf.reduce_sum(w))

    _, y = v1.while_loop(lambda i, a: i < 3, body, [0, x], parallel_iterations=1)
    return v1.cond(tf.reduce_sum(x) > 0, lambda: y * w[1], lambda: y * 2.0)


def loop_read_through_another_variable(x, w):
    """Of three loop variables only one leaves the loop."""
    _, a, _ = v1.while_loop(
        lambda i, a, b: i < 3, lambda i, a, b: (i + 1, a + b, b * w), [0, x, x], back_prop=True
    )
    return a


def branch_inside_loop_inside_loop(x, w):
    def inner(j, b):
        return j + 1, v1.cond(tf.equal(j, 1), lambda: b * w, lambda: b + w)

    def outer(i, a):
        return i + 1, v1.while_loop(lambda j, b: j < 2, inner, [0, a])[1]

    return v1.while_loop(lambda i, a: i < 2, outer, [0, x])[1]


BUILDS = [loop_with_branch, loop_read_through_another_variable, branch_inside_loop_inside_loop]


def spec_of(build, use_resource=True):
    def module_fn():
        x = v1.placeholder(tf.float32, [2])
        hub.add_signature(inputs=x, outputs=build(x, variable(use_resource)))

    return hub.create_module_spec(module_fn)


def once(apply, x):
    return apply(x)


def twice(apply, x):
    return apply(apply(x))


def in_while(apply, x):
    return v1.while_loop(lambda i, a: i < 2, lambda i, a: (i + 1, apply(a)), [0, x])[1]


def in_cond(apply, x):
    return v1.cond(tf.reduce_sum(x) > -9.0, lambda: apply(x), lambda: x)


def in_map(apply, x):
    return v1.map_fn(apply, tf.stack([x, 2.0 - x]))


def results(x, w, y, session):
    """Values and gradients; the session has run before these are built."""
    session.run(v1.global_variables_initializer())
    value = session.run(y)
    slopes = map(tf.convert_to_tensor, tf.gradients(y, [x, w]))
    return value, session.run(list(slopes))


CASES = [
    (build, where)
    for build in BUILDS
    for where in (once, twice, in_while, in_cond, in_map)
    if build is not branch_inside_loop_inside_loop or where not in (in_while, in_map)
]


@pytest.mark.parametrize("use_resource", [True, False], ids=["resource", "reference"])
@pytest.mark.parametrize(("build", "where"), CASES)
def test_gradients_in_a_session(build, where, use_resource):
    with v1_control_flow():
        with tf.Graph().as_default(), v1.Session() as session:
            x, w = tf.constant([0.5, -0.2]), variable(True)
            expected = results(x, w, where(lambda a: build(a, w), x), session)
        spec = spec_of(build, use_resource)
        with tf.Graph().as_default(), v1.Session() as session:
            x, module = tf.constant([0.5, -0.2]), hub.Module(spec, trainable=True)
            y = where(module, x)
            found = results(x, module.variable_map["w"], y, session)
    for expected_one, found_one in zip(
        tf.nest.flatten(expected), tf.nest.flatten(found), strict=True
    ):
        np.testing.assert_allclose(found_one, expected_one, rtol=1e-5)
    assert np.abs(expected[1][1]).min() > 0  # else the comparison says nothing


@pytest.mark.parametrize("where", [in_while, in_map])
def test_loops_in_loops_run_in_a_loop(where):
    """Without gradients. The original library cannot even run them there."""
    with v1_control_flow():
        spec = spec_of(branch_inside_loop_inside_loop)
        with tf.Graph().as_default(), v1.Session() as session:
            x, w = tf.constant([0.5, -0.2]), variable(True)
            y = where(lambda a: branch_inside_loop_inside_loop(a, w), x)
            session.run(v1.global_variables_initializer())
            expected = session.run(y)
        with tf.Graph().as_default(), v1.Session() as session:
            y = where(hub.Module(spec), tf.constant([0.5, -0.2]))
            session.run(v1.global_variables_initializer())
            np.testing.assert_allclose(session.run(y), expected, rtol=1e-5)


@pytest.mark.parametrize("build", BUILDS)
def test_a_module_of_modules_keeps_v1_control_flow(build):
    """So that the original library, and older TensorFlow, differentiate it too."""
    with v1_control_flow():
        inner = spec_of(build)

        def module_fn():
            x = v1.placeholder(tf.float32, [2])
            module = hub.Module(inner, trainable=True, name="inner")
            hub.add_signature(inputs=x, outputs=module(module(x)))

        outer = hub.create_module_spec(module_fn)
        with tf.Graph().as_default(), v1.Session() as session:
            x, w = tf.constant([0.5, -0.2]), variable(True)
            expected = results(x, w, build(build(x, w), w), session)
        with tf.Graph().as_default(), v1.Session() as session:
            x, module = tf.constant([0.5, -0.2]), hub.Module(outer, trainable=True)
            found = results(x, module.variable_map["inner/w"], module(x), session)
    ops = {node.op for node in outer.variant(()).published.graph_def.node}
    assert {"Enter", "Exit"} <= ops
    assert not {"While", "StatelessWhile", "If", "StatelessIf"} & ops
    for expected_one, found_one in zip(
        tf.nest.flatten(expected), tf.nest.flatten(found), strict=True
    ):
        np.testing.assert_allclose(found_one, expected_one, rtol=1e-5)


def meta_graph_of(build):
    with v1_control_flow():
        return spec_of(build).variant(()).published


def test_new_nodes_join_the_contexts_of_others():
    meta_graph = meta_graph_of(branch_inside_loop_inside_loop)

    def inside(context):
        names = set(context.values_def.values)
        return names.union(
            *(inside(getattr(c, c.WhichOneof("ctxt"))) for c in context.nested_contexts)
        )

    def outermost():
        (value,) = meta_graph.collection_def[KEYS.WHILE_CONTEXT].bytes_list.value
        return control_flow_pb2.WhileContextDef.FromString(value)

    before = outermost()
    product = next(name for name in sorted(inside(before)) if name.endswith("cond/mul:0"))
    contexts.add_to_contexts(meta_graph, {product.removesuffix(":0"): ["new"]})
    assert inside(outermost()) - inside(before) == {"new:0"}
