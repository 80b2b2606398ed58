"""Which tensors are paths of the module's own assets."""

from tensorflow.core.framework import graph_pb2

from hub_keras_bridge.asset_paths import is_own_path, own_paths


def graph_of(*nodes, functions=()):
    """A graph of (name, op, inputs) and functions of (name, arguments, nodes)."""
    made = graph_pb2.GraphDef()
    _fill(made.node, nodes)
    for name, arguments, body in functions:
        function = made.library.function.add()
        function.signature.name = name
        for argument in arguments:
            function.signature.input_arg.add(name=argument)
        _fill(function.node_def, body)
    return made


def _fill(nodes, described):
    for name, op, *inputs in described:
        op, _, called = op.partition(" ")
        node = nodes.add(name=name, op=op, input=inputs)
        if called:
            node.attr["f"].func.name = called


def of(nodes, reference, own=("vocab:0",)):
    return is_own_path(reference, {node.name: node for node in nodes}, own)


def test_through_identity_and_no_other_op():
    nodes = graph_of(
        ("vocab", "Const"),
        ("same", "Identity", "vocab"),
        ("again", "Identity", "same:0", "^vocab"),
        ("joined", "StringJoin", "vocab", "vocab"),
        ("of_joined", "Identity", "joined"),
        ("other", "Const"),
    ).node
    own = {n: of(nodes, n) for n in ("vocab", "vocab:0", "same", "again")}
    assert all(own.values()), own
    foreign = {n: of(nodes, n) for n in ("vocab:1", "joined", "of_joined", "other", "absent")}
    assert not any(foreign.values()), foreign


def test_a_ring_ends():
    nodes = graph_of(("a", "Identity", "b"), ("b", "Identity", "a"), ("c", "Identity")).node
    assert not of(nodes, "a")
    assert not of(nodes, "c")


def test_as_an_argument_of_functions_in_functions():
    graph_def = graph_of(
        ("vocab", "Const"),
        ("call", "StatefulPartitionedCall outer", "key", "vocab"),
        functions=[
            ("outer", ["key", "path"], [("in", "Identity", "path"), ("c", "inner", "in:output:0")]),
            ("inner", ["file"], []),
        ],
    )
    own = own_paths(graph_def, {"vocab:0"})
    assert own == {None: {"vocab:0"}, "outer": {"path:0"}, "inner": {"file:0"}}


def test_one_other_call_is_enough_to_doubt():
    graph_def = graph_of(
        ("vocab", "Const"),
        ("one", "PartitionedCall load", "vocab"),
        ("other", "PartitionedCall load", "user_input"),
        functions=[("load", ["path"], [])],
    )
    assert own_paths(graph_def, {"vocab:0"})["load"] == set()


def test_what_a_loop_or_a_branch_passes_is_not_followed():
    graph_def = graph_of(
        ("vocab", "Const"),
        ("loop", "While load", "vocab"),
        functions=[("load", ["path"], [])],
    )
    assert own_paths(graph_def, {"vocab:0"})["load"] == set()


def test_a_call_without_all_arguments_is_not_followed():
    graph_def = graph_of(("call", "load"), functions=[("load", ["path"], [])])
    assert own_paths(graph_def, {"vocab:0"})["load"] == set()
