"""Functions of a graph: which are used, and under what names."""

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.framework import function_pb2, graph_pb2, node_def_pb2
from tensorflow.python.framework import function

import hub_keras_bridge as hub
from hub_keras_bridge.graphs.library import (
    called_as_ops,
    forget_places,
    named_functions,
    reachable,
    rename_functions,
)

v1 = tf.compat.v1


def function_def(name, *calls):
    made = function_pb2.FunctionDef()
    made.signature.name = name
    made.node_def.extend(calls)
    return made


def call(op, *, attribute=None, listed=None):
    made = node_def_pb2.NodeDef(name=f"call_{op}", op=op)
    if attribute:
        made.attr["f"].func.name = attribute
    if listed:
        for name in listed:
            made.attr["branches"].list.func.add(name=name)
    return made


def library_of(*functions, gradients=()):
    made = function_pb2.FunctionDefLibrary(function=functions)
    for name, gradient in gradients:
        made.gradient.add(function_name=name, gradient_func=gradient)
    return made


def names(library):
    return [each.signature.name for each in library.function]


def test_reachable_through_ops_attributes_and_lists():
    library = library_of(
        function_def("unused", call("by_op")),
        function_def("in_list", call("deep")),
        function_def("by_op"),
        function_def("by_attribute"),
        function_def("deep"),
    )
    nodes = [
        call("by_op"),
        call("While", attribute="by_attribute"),
        call("Case", listed=["in_list", "by_op"]),
    ]
    assert names(reachable(library, nodes)) == ["by_attribute", "by_op", "deep", "in_list"]


def test_reachable_through_attributes_of_attributes():
    library = library_of(function_def("outer"), function_def("inner"))
    node = call("Map", attribute="outer")
    node.attr["f"].func.attr["g"].func.name = "inner"
    assert names(reachable(library, [node])) == ["inner", "outer"]
    graph_def = graph_pb2.GraphDef(node=[node], library=library)
    rename_functions(graph_def)
    mentioned = graph_def.node[0].attr["f"].func
    assert {mentioned.name, mentioned.attr["g"].func.name} == set(names(graph_def.library))


def test_reachable_ends_in_recursion():
    library = library_of(function_def("a", call("b")), function_def("b", call("a")))
    assert names(reachable(library, [call("a")])) == ["a", "b"]


def test_reachable_keeps_gradients_of_what_it_keeps():
    library = library_of(
        function_def("a"), function_def("b"), gradients=[("a", "a_grad"), ("b", "b_grad")]
    )
    kept = reachable(library, [call("a")])
    assert [(g.function_name, g.gradient_func) for g in kept.gradient] == [("a", "a_grad")]


def test_reachable_through_gradients():
    library = library_of(
        function_def("a"),
        function_def("a_grad", call("deep")),
        function_def("deep"),
        gradients=[("a", "a_grad")],
    )
    assert names(reachable(library, [call("a")])) == ["a", "a_grad", "deep"]


def test_reachable_of_nothing():
    assert reachable(library_of(function_def("a")), [call("Add")]) == library_of()


def graph_with(library, *nodes):
    return graph_pb2.GraphDef(library=library, node=nodes)


def test_rename_reaches_every_mention():
    graph_def = graph_with(
        library_of(
            function_def("a", call("b"), call("If", attribute="b"), call("Case", listed=["b"])),
            function_def("b"),
            gradients=[("a", "b")],
        ),
        call("a"),
        call("While", attribute="a"),
        call("Case", listed=["a", "b"]),
        call("Add"),
    )
    rename_functions(graph_def)
    a, b = names(graph_def.library)
    assert a.startswith("a_")
    assert b.startswith("b_")
    by_op, loop, case, add = graph_def.node
    assert by_op.op == a
    assert loop.attr["f"].func.name == a
    assert [f.name for f in case.attr["branches"].list.func] == [a, b]
    assert add.op == "Add"
    inner_call, inner_if, inner_case = graph_def.library.function[0].node_def
    assert inner_call.op == b
    assert inner_if.attr["f"].func.name == b
    assert inner_case.attr["branches"].list.func[0].name == b
    (gradient,) = graph_def.library.gradient
    assert (gradient.function_name, gradient.gradient_func) == (a, b)


def test_gradient_registered_elsewhere_keeps_its_name():
    graph_def = graph_with(library_of(function_def("a"), gradients=[("a", "Registered")]))
    rename_functions(graph_def)
    assert graph_def.library.gradient[0].gradient_func == "Registered"


def test_equal_libraries_get_equal_names_and_others_do_not():
    def renamed(*calls):
        graph_def = graph_with(library_of(function_def("a", *calls)), call("a"))
        rename_functions(graph_def)
        return names(graph_def.library)

    assert renamed(call("Add")) == renamed(call("Add"))
    assert renamed(call("Add")) != renamed(call("Mul"))


def test_devices_and_colocation_inside_functions_go():
    inside = call("Add")
    inside.device = "/device:GPU:7"
    inside.attr["_class"].list.s.append(b"loc:@gone")
    graph_def = graph_with(library_of(function_def("a", inside)))
    forget_places(graph_def.library)
    (node,) = graph_def.library.function[0].node_def
    assert node.device == ""
    assert "_class" not in node.attr


def test_functions_that_are_called_as_ops_can_keep_their_names():
    """Their names are the types of nodes."""
    graph_def = graph_with(
        library_of(
            function_def("a", call("If", attribute="b")), function_def("b"), function_def("c")
        ),
        call("a"),
        call("While", attribute="c"),
    )
    kept = called_as_ops(graph_def)
    assert kept == {"a", "b"}
    rename_functions(graph_def, kept=kept)
    by_op, loop = graph_def.node
    assert by_op.op == "a"
    assert loop.attr["f"].func.name.startswith("c_")
    assert [name.split("_")[0] for name in names(graph_def.library)] == ["a", "b", "c"]
    assert graph_def.library.function[0].node_def[0].attr["f"].func.name == "b"


def test_graph_without_functions_is_left_alone():
    graph_def = graph_with(library_of(), call("Add"))
    copy = graph_pb2.GraphDef.FromString(graph_def.SerializeToString())
    rename_functions(graph_def)
    assert graph_def == copy


# --- through ModuleLayer ---

X = np.array([1.0, 2.0], np.float32)


def test_functions_of_one_name_and_different_bodies_live_together():
    def spec(body):
        def module_fn():
            x = v1.placeholder(tf.float32, [None])
            same_name = function.Defun(tf.float32, func_name="same_name")(body)
            hub.add_signature(inputs=x, outputs=same_name(x))

        return hub.create_module_spec(module_fn)

    double, square = (hub.ModuleLayer(spec(f)) for f in (lambda x: x * 2.0, lambda x: x * x * x))
    np.testing.assert_allclose(double(X), X * 2)
    np.testing.assert_allclose(square(X), X**3)
    np.testing.assert_allclose(double(X), X * 2)


@pytest.fixture
def layer_with_own_gradient():
    def module_fn():
        x = v1.placeholder(tf.float32, [None])

        @function.Defun(tf.float32, tf.float32)
        def seven_fold(x, gradient):
            return 7.0 * gradient

        @function.Defun(tf.float32, grad_func=seven_fold)
        def double(x):
            return x * 2.0

        hub.add_signature(inputs=x, outputs=double(x))

    return hub.ModuleLayer(hub.create_module_spec(module_fn))


def test_function_with_a_gradient_of_its_own_runs(layer_with_own_gradient):
    np.testing.assert_allclose(layer_with_own_gradient(X), X * 2)


def test_gradient_that_a_function_defines_is_refused(layer_with_own_gradient):
    """TensorFlow 2 would differentiate the function's ops instead, and say nothing."""
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        with pytest.raises(LookupError, match="functions with gradients of their own"):
            layer_with_own_gradient(x)


def test_functions_in_lists_are_called():
    def module_fn():
        x = v1.placeholder(tf.float32, [None])
        branches = [lambda: x, lambda: x * 2.0, lambda: x * 3.0]
        chosen = tf.cast(tf.reduce_sum(x), tf.int32)
        hub.add_signature(inputs=x, outputs=tf.switch_case(chosen, branches))

    spec = hub.create_module_spec(module_fn)
    assert any(n.op.endswith("Case") for n in spec.variant(()).published.graph_def.node)
    layer = hub.ModuleLayer(spec)
    for value, factor in ((0.0, 1.0), (0.5, 2.0), (1.0, 3.0)):
        x = np.float32([value, value])
        np.testing.assert_allclose(layer(x), x * factor)


def test_functions_that_attributes_pass_on():
    node = text_format.Parse(
        """
        attr { key: "f"
               value { func { name: "a" attr { key: "g" value { func { name: "b" } } } } } }
        attr { key: "branches" value { list { func { name: "c" } func { name: "" } } } }
        attr { key: "T" value { type: DT_FLOAT } }
        """,
        graph_pb2.GraphDef().node.add(),
    )
    assert sorted(named_functions(node)) == ["a", "b", "c"]
