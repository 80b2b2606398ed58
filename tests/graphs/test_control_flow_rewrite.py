"""The rewrite of control flow on GraphDefs alone."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2, types_pb2

from helpers.tf1_reference import X, v1, v1_control_flow
from hub_keras_bridge.graphs import contexts, control_flow, library
from hub_keras_bridge.graphs.control_flow.order import topological
from hub_keras_bridge.graphs.control_flow.subgraph import (
    Body,
    argument,
    beside,
    constant,
    dtype_of,
    identity,
    to_function,
)
from hub_keras_bridge.graphs.graph import nodes_by_name
from hub_keras_bridge.graphs.prune import prune


def meta_graph_of(build):
    with tf.Graph().as_default(), v1_control_flow():
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        tf.identity(build(x), name="y")
        return v1.train.export_meta_graph()


def loop(x, **options):
    return v1.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * 2.0), [0, x], **options)[1]


def cond(x):
    return v1.cond(tf.reduce_sum(x) > 0, lambda: x * 2.0, lambda: x - 1.0)


def run(graph_def, value):
    """The value and slope of ``y`` at ``x``."""
    library.rename_functions(graph_def)  # Other tests have functions of these names.
    function = v1.wrap_function(
        lambda x: tf.graph_util.import_graph_def(graph_def, {"x": x}, ["y:0"])[0],
        [tf.TensorSpec([None, 2], tf.float32)],
    )
    x = tf.constant(value)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return y.numpy(), tape.gradient(y, x)


# --- functionalize ---


def test_loop_becomes_a_while():
    original = meta_graph_of(loop).graph_def
    untouched = graph_pb2.GraphDef.FromString(original.SerializeToString())
    rewritten, moved = control_flow.functionalize(original, ["y:0"], [])
    assert original == untouched
    assert moved == {}
    assert not control_flow.has_control_flow(rewritten)
    assert {"StatelessWhile"} < {node.op for node in rewritten.node}
    y, slope = run(rewritten, X)
    np.testing.assert_allclose(y, X * 8)
    np.testing.assert_allclose(slope, np.full_like(X, 8))


def test_cond_becomes_an_if():
    rewritten, _ = control_flow.functionalize(meta_graph_of(cond).graph_def, ["y:0"], [])
    (node,) = (node for node in rewritten.node if node.op == "StatelessIf")
    names = {node.attr[branch].func.name for branch in ("then_branch", "else_branch")}
    assert names == {function.signature.name for function in rewritten.library.function}
    np.testing.assert_allclose(run(rewritten, X)[0], X * 2)
    np.testing.assert_allclose(run(rewritten, -X)[0], -X - 1)


def test_functions_that_were_there_stay_and_new_ones_get_other_names():
    original = meta_graph_of(cond).graph_def
    first, _ = control_flow.functionalize(original, ["y:0"], [])
    original.library.CopyFrom(first.library)
    second, _ = control_flow.functionalize(original, ["y:0"], [])
    names = [function.signature.name for function in second.library.function]
    assert len(set(names)) == len(names) == 4


def test_only_what_is_wanted_is_kept():
    def build(x):
        cond(x)
        return loop(x)

    rewritten, _ = control_flow.functionalize(meta_graph_of(build).graph_def, ["y:0"], [])
    assert not [node.name for node in rewritten.node if node.op == "StatelessIf"]


def test_effect_in_a_branch_is_run_by_the_if():
    def build(x):
        with v1.variable_scope("", use_resource=True):
            counter = v1.get_variable("c", [], initializer=v1.zeros_initializer())

        def branch():
            v1.assign_add(counter, 1.0, name="add")
            return x * 2.0

        return v1.cond(tf.reduce_sum(x) > 0, branch, lambda: x)

    original = meta_graph_of(build).graph_def
    (op,) = (node.name for node in original.node if node.op == "AssignAddVariableOp")
    rewritten, moved = control_flow.functionalize(original, ["y:0", op], ["c:0"])
    nodes = nodes_by_name(rewritten)
    assert nodes[moved[op]].op == "If"
    assert op not in nodes


def test_variables_are_read_outside_but_for_assigned_ones():
    def resources(assigned):
        def build(x):
            with v1.variable_scope("", use_resource=True):
                w = v1.get_variable("w", [2, 2], initializer=v1.ones_initializer())
            y = v1.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y @ w), [0, x])[1]
            if assigned:
                with tf.control_dependencies([v1.assign(w, w * 2.0)]):
                    return tf.identity(y)
            return y

        # Else the initializer would be an assignment.
        pruned = prune(meta_graph_of(build).graph_def, ["y:0"], {}).graph_def
        rewritten, _ = control_flow.functionalize(pruned, ["y:0"], ["w:0"])
        (node,) = (node for node in rewritten.node if node.op.endswith("While"))
        return list(node.attr["T"].list.type).count(types_pb2.DT_RESOURCE)

    assert resources(assigned=False) == 0
    assert resources(assigned=True) == 1


@pytest.mark.parametrize("in_cond", [False, True])
@pytest.mark.parametrize("back_prop", [True, False])
def test_no_gradient_leaves_a_loop_without_back_prop(back_prop, in_cond):
    def build(x):
        def made():
            return loop(x, back_prop=back_prop)

        return (v1.cond(tf.reduce_sum(x) > 0, made, lambda: x) if in_cond else made()) + x

    meta_graph = meta_graph_of(build)
    frames = contexts.undifferentiated_loops(meta_graph)
    assert len(frames) == (0 if back_prop else 1)
    rewritten, _ = control_flow.functionalize(meta_graph.graph_def, ["y:0"], [], frames)
    y, slope = run(rewritten, X)
    np.testing.assert_allclose(y, X * 9)
    np.testing.assert_allclose(slope, np.full_like(X, 9 if back_prop else 1))


def test_loop_that_no_context_tells_of_is_differentiated():
    meta_graph = meta_graph_of(loop)
    meta_graph.ClearField("collection_def")
    assert contexts.undifferentiated_loops(meta_graph) == frozenset()


@pytest.mark.parametrize(
    ("build", "target", "reason"),
    [
        (loop, "while/mul:0", "wanted from within loop"),
        (cond, "cond/mul:0", "wanted from within a branch"),
    ],
)
def test_value_from_within_is_irregular(build, target, reason):
    with pytest.raises(control_flow.Irregular, match=reason):
        control_flow.functionalize(meta_graph_of(build).graph_def, ["y:0", target], [])


def test_arrays_without_counterpart_are_irregular():
    def build(x):
        stacked = tf.TensorArray(tf.float32, 2).unstack(x).stack()
        return tf.gradients(stacked, x)[0] + cond(x)

    with pytest.raises(control_flow.Irregular, match="no counterpart for TensorArrayGradV3"):
        control_flow.functionalize(meta_graph_of(build).graph_def, ["y:0"], [])


def test_gradient_of_a_loop_is_irregular():
    def build(x):
        return tf.gradients(loop(x) * tf.tanh(loop(x * x)), x)[0] + loop(x, back_prop=False)

    with pytest.raises(control_flow.Irregular, match="a loop's gradient"):
        control_flow.functionalize(meta_graph_of(build).graph_def, ["y:0"], [])


# --- order ---


def node(name, *inputs, op="Identity"):
    return node_def_pb2.NodeDef(name=name, op=op, input=inputs)


def by_name(*nodes):
    return {each.name: each for each in nodes}


def test_topological_puts_inputs_and_control_inputs_first():
    nodes = by_name(node("c", "b:1", "^a"), node("b", "a", "a:0"), node("a"))
    assert topological(nodes) == ["a", "b", "c"]


def test_topological_cuts_rings_of_loops_open():
    nodes = by_name(
        node("merge", "enter", "next", op="Merge"),
        node("enter", op="Enter"),
        node("next", "merge", op="NextIteration"),
    )
    order = topological(nodes)
    assert sorted(order) == ["enter", "merge", "next"]
    assert order.index("enter") < order.index("merge")


def test_topological_finds_other_cycles():
    with pytest.raises(control_flow.Irregular, match="cycle"):
        topological(by_name(node("a", "b"), node("b", "^a")))


# --- subgraph ---


def called(function, *values):
    """What a function returns, as a graph would call it."""
    graph_def = graph_pb2.GraphDef()
    graph_def.versions.producer = tf.version.GRAPH_DEF_VERSION
    graph_def.library.function.append(function)
    call = graph_def.node.add(name="call", op=function.signature.name)
    names = [f"in_{index}" for index in range(len(values))]
    call.input.extend(names)
    with tf.Graph().as_default(), v1.Session() as session:
        fed = [tf.constant(value) for value in values]
        outputs = tf.graph_util.import_graph_def(
            _with_placeholders(graph_def, names, values),
            dict(zip(names, fed, strict=True)),
            [f"call:{index}" for index in range(len(function.signature.output_arg))],
        )
        return session.run(outputs)


def _with_placeholders(graph_def, names, values):
    for name, value in zip(names, values, strict=True):
        graph_def.node.append(argument(name, tf.constant(value).dtype.as_datatype_enum))
    return graph_def


def test_to_function_names_outputs_by_argument_and_position():
    unpack = node("unpack", "x", op="Unpack")
    unpack.attr["T"].type = types_pb2.DT_FLOAT
    unpack.attr["num"].i = 3
    unused = node("unused", "x", op="NoSuchOp")
    nodes = by_name(argument("x", types_pb2.DT_FLOAT), unpack, unused)
    made = to_function("f", Body(nodes, ["x"], ["unpack:2", "unpack", "x"]), {})
    assert dict(made.ret) == {
        "result_0": "unpack:output:2",
        "result_1": "unpack:output:0",
        "result_2": "x",
    }
    assert [each.name for each in made.node_def] == ["unpack"]
    assert not made.signature.is_stateful
    last, first, whole = called(made, [1.0, 2.0, 3.0])
    assert (last, first) == (3.0, 1.0)
    np.testing.assert_array_equal(whole, [1.0, 2.0, 3.0])


def test_to_function_runs_what_has_effects():
    assertion = node("assertion", "ok", "ok", "^x", op="Assert")
    assertion.attr["T"].list.type.append(types_pb2.DT_BOOL)
    nodes = by_name(argument("ok", types_pb2.DT_BOOL), argument("x", types_pb2.DT_FLOAT), assertion)
    made = to_function("f", Body(nodes, ["ok", "x"], ["x:0"], ["assertion"]), {})
    assert made.signature.is_stateful
    assert dict(made.control_ret) == {"assertion": "assertion"}
    # What an argument is there to wait for is there from the start.
    assert list(made.node_def[0].input) == ["ok", "ok"]
    assert called(made, True, 1.0) == [1.0]
    with pytest.raises(tf.errors.InvalidArgumentError):
        called(made, False, 1.0)


def test_constant_and_identity():
    made = constant("c", [1, 2], types_pb2.DT_INT64, ["^a"])
    assert made.input == ["^a"]
    np.testing.assert_array_equal(tf.make_ndarray(made.attr["value"].tensor), [1, 2])
    nodes = by_name(made, identity("i", "c:0", types_pb2.DT_INT64))
    assert dtype_of(nodes, "i:0", {}) == dtype_of(nodes, "c", {}) == types_pb2.DT_INT64


def test_beside_a_switch_is_beside_the_output_taken():
    switch = node("s", "x", "p", op="Switch")
    switch.attr["T"].type = types_pb2.DT_FLOAT
    nodes = by_name(switch, node("plain"))
    assert beside(nodes, "plain:0") == "^plain"
    assert set(nodes) == {"s", "plain"}
    pivot = beside(nodes, "s:1")
    assert beside(nodes, "s:1") == pivot
    assert nodes[pivot.removeprefix("^")].input == ["s:1"]
    assert beside(nodes, "s") != pivot
