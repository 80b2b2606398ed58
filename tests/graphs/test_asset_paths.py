"""Which tensors are paths of the module's own assets."""

from tensorflow.core.framework import graph_pb2

from hub_keras_bridge.graphs.asset_paths import OwnPaths, own_paths


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
    return OwnPaths({node.name: node for node in nodes}, own).has(reference)


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
    assert own.keys() == {None, "outer", "inner"}
    assert own[None].has("vocab")
    assert own["outer"].has("path")
    assert not own["outer"].has("key")
    assert own["inner"].has("file")


def test_one_other_call_is_enough_to_doubt():
    graph_def = graph_of(
        ("vocab", "Const"),
        ("one", "PartitionedCall load", "vocab"),
        ("other", "PartitionedCall load", "user_input"),
        functions=[("load", ["path"], [])],
    )
    assert not own_paths(graph_def, {"vocab:0"})["load"].has("path")


def test_what_a_loop_or_a_branch_passes_is_not_followed():
    graph_def = graph_of(
        ("vocab", "Const"),
        ("loop", "While load", "vocab"),
        functions=[("load", ["path"], [])],
    )
    assert not own_paths(graph_def, {"vocab:0"})["load"].has("path")


def test_a_call_without_all_arguments_is_not_followed():
    graph_def = graph_of(("call", "load"), functions=[("load", ["path"], [])])
    assert not own_paths(graph_def, {"vocab:0"})["load"].has("path")


def one_call():
    return graph_of(
        ("vocab", "Const"),
        ("one", "PartitionedCall load", "vocab"),
        functions=[("load", ["path"], []), ("other", ["path"], [])],
    )


def test_what_is_called_out_of_sight_may_be_given_anything():
    assert own_paths(one_call(), {"vocab:0"})["load"].has("path")
    gradient, registered, beside, named = (one_call() for _ in range(4))
    gradient.library.gradient.add(function_name="other", gradient_func="load")
    registered.library.registered_gradients.add(registered_op_type="Own", gradient_func="load")
    beside.library.function[1].attr["backward_function_name"].s = b"load"
    named.library.function[1].attr["any"].func.name = "load"
    for graph_def in (gradient, registered, beside, named):
        assert not own_paths(graph_def, {"vocab:0"})["load"].has("path")


def test_arguments_that_are_lists_are_not_told_apart():
    for kind in ("number_attr", "type_list_attr"):
        graph_def = one_call()
        setattr(graph_def.library.function[0].signature.input_arg.add(name="many"), kind, "N")
        assert not own_paths(graph_def, {"vocab:0"})["load"].has("path")
