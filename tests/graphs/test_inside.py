"""What lies inside TensorFlow 1's control flow."""

import tensorflow as tf

from helpers.tf1_reference import v1_control_flow
from hub_keras_bridge.graphs.graph import nodes_by_name
from hub_keras_bridge.graphs.inside import Inside, inside

v1 = tf.compat.v1


def found(build):
    """The kinds of all nodes whose names say where they are."""
    with v1_control_flow(), tf.Graph().as_default() as graph:
        build(v1.placeholder(tf.float32, [], name="x"))
    nodes = nodes_by_name(graph.as_graph_def())
    kinds = inside(nodes)
    assert kinds.keys() <= nodes.keys()
    return {name: kinds.get(name) for name in nodes}


def named(name, x):
    return tf.add(x, 1.0, name=name)


def test_loops_in_branches_and_branches_in_loops():
    def body(y):
        within = v1.cond(y > 2.0, lambda: named("in_branch_in_loop", y), lambda: y, name="deep")
        inner = tf.while_loop(
            lambda z: z < 5.0, lambda z: named("in_both_loops", z), [within], name="inner"
        )
        return named("in_loop", inner[0])

    def turn(y):
        return named("in_loop_in_branch", y)

    def build(x):
        before = named("before", x)
        last = tf.while_loop(lambda y: y < 9.0, body, [before], name="outer")
        after = named("after_loop", last[0])
        chosen = v1.cond(
            after > 0.0,
            lambda: named(
                "in_branch",
                tf.while_loop(lambda y: y < 9.0, lambda y: named("in_loop_in_branch", y), [after])[
                    0
                ],
            ),
            lambda: after,
            name="choice",
        )
        named("after_branch", chosen)

    kinds = {name.rpartition("/")[2]: kind for name, kind in found(build).items()}
    expected = {
        "x": None,
        "before": None,
        "in_branch_in_loop": Inside.LOOP,
        "in_both_loops": Inside.LOOP,
        "in_loop": Inside.LOOP,
        "after_loop": None,
        "in_branch": Inside.BRANCH,
        "in_loop_in_branch": Inside.LOOP,
        "after_branch": None,
    }
    assert {name: kinds[name] for name in expected} == expected


def test_the_ends_of_a_loop_and_of_a_branch():
    def build(x):
        tf.while_loop(lambda y: y < 9.0, lambda y: named("turn", y), [x], name="loop")
        v1.cond(x > 0.0, lambda: named("yes", x), lambda: named("no", x), name="choice")

    kinds = found(build)
    loop = {name for name in kinds if name.startswith("loop/")}
    assert {name for name in loop if kinds[name] is not Inside.LOOP} == {"loop/Exit"}
    assert {kinds[f"choice/{name}"] for name in ("Merge", "pred_id")} == {None}
    branch = {"yes", "no", "yes/Switch", "switch_t", "switch_f", "Switch"}
    assert {kinds[f"choice/{name}"] for name in branch} == {Inside.BRANCH}


def test_who_waits_for_a_switch_is_in_no_branch():
    def build(x):
        with tf.control_dependencies([tf.raw_ops.Switch(data=x, pred=x > 0.0)[0]]):
            named("waits", x)

    assert found(build)["waits"] is None
