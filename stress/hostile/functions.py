"""Changes of a graph's function library."""

from __future__ import annotations

from tensorflow.core.framework import function_pb2, types_pb2

from stress.hostile.graphs import NAMES
from stress.hostile.victim import NotApplicable, Victim

_CALLS = ["PartitionedCall", "StatefulPartitionedCall", "by name", "SymbolicGradient", "If"]


def recursion(victim: Victim) -> None:
    """Functions that call themselves, or one another in a ring."""
    edge = victim.edge()
    library = edge.graph_def.library
    length = victim.choose([1, 2, 3])
    op = victim.choose(_CALLS)
    for number in range(length):
        function = library.function.add()
        function.signature.name = f"ring_{number}"
        function.signature.input_arg.add(name="x", type=edge.dtype)
        function.signature.output_arg.add(name="y", type=edge.dtype)
        inner = function.node_def.add(name="call", input=["x"])
        _call(inner, op, f"ring_{(number + 1) % length}", edge.dtype)
        function.ret["y"] = "call:y:0" if op == "by name" else "call:output:0"
    call = edge.graph_def.node.add(name="ring", input=[edge.source])
    _call(call, op, "ring_0", edge.dtype)
    edge.replace("ring")


def _call(node: object, op: str, name: str, dtype: int) -> None:
    if op == "by name":
        node.op = name
        return
    node.op = op
    node.attr["Tin"].list.type.append(dtype)
    node.attr["Tout"].list.type.append(dtype)
    if op == "If":
        node.input.append(node.input[0])
        node.attr["Tcond"].type = dtype
        node.attr["then_branch"].func.name = name
        node.attr["else_branch"].func.name = name
    else:
        node.attr["f"].func.name = name


def deep_calls(victim: Victim) -> None:
    """Functions that call one another in a long row, or ever more of them."""
    edge = victim.edge()
    library = edge.graph_def.library
    depth, width = victim.choose([(1000, 1), (200, 1), (24, 2), (10, 10)])
    for number in range(depth):
        function = library.function.add()
        function.signature.name = f"deep_{number}"
        function.signature.input_arg.add(name="x", type=edge.dtype)
        function.signature.output_arg.add(name="y", type=edge.dtype)
        source = "x"
        for call in range(width if number + 1 < depth else 0):
            inner = function.node_def.add(name=f"call_{call}", input=[source])
            _call(inner, "PartitionedCall", f"deep_{number + 1}", edge.dtype)
            source = f"call_{call}:output:0"
        function.ret["y"] = source
    call = edge.graph_def.node.add(name="deep", input=[edge.source])
    _call(call, "PartitionedCall", "deep_0", edge.dtype)
    edge.replace("deep")


def change_function(victim: Victim) -> None:
    library = victim.meta_graph().graph_def.library
    function = victim.choose(library.function)
    match victim.random.randrange(11):
        case 0:
            library.function.add().CopyFrom(function)
        case 1:
            library.function.remove(function)
        case 2:
            function.signature.name = victim.choose([*NAMES, "MatMul", "Identity"])
        case 3:
            victim.choose(function.node_def).op = function.signature.name
        case 4:
            for key in list(function.ret):
                function.ret[key] = victim.choose(["nowhere:y:0", "x", "", "a:b:c:d"])
        case 5:
            function.ret.clear()
        case 6:
            function.signature.input_arg.add(name=victim.choose(["", "x", "0"]), type=1)
        case 7 if function.signature.input_arg:
            del function.signature.input_arg[0]
        case 8:
            function.control_ret["c"] = "nowhere"
            function.signature.control_output.append("c")
        case 9:
            node = victim.choose(function.node_def)
            node.input[:] = [f"{node.name}:0:0" for _ in node.input]
        case _:
            function.signature.attr.add(name="T", type="type")


def gradients(victim: Victim) -> None:
    library = victim.meta_graph().graph_def.library
    names = ["", "nowhere", "MatMul", *(f.signature.name for f in library.function)]
    library.gradient.add(function_name=victim.choose(names), gradient_func=victim.choose(names))


def nested_message(victim: Victim) -> None:
    """Functions as attributes of functions, deeper than a reader may follow."""
    depth = victim.choose([10, 30, 40, 100, 1000])
    value = victim.node().attr["nested"]
    try:
        for _ in range(depth):
            value.func.name = "nested"
            value = value.func.attr["f"]
        value.i = 1
        victim.saved_model.SerializeToString()
    except (RecursionError, ValueError) as error:
        raise NotApplicable from error


def shadow(victim: Victim) -> None:
    """A function under the name of an op that the graph uses."""
    graph_def = victim.meta_graph().graph_def
    function = function_pb2.FunctionDef()
    function.signature.name = victim.choose(graph_def.node).op
    function.signature.input_arg.add(name="x", type=types_pb2.DT_FLOAT)
    function.signature.output_arg.add(name="y", type=types_pb2.DT_FLOAT)
    function.ret["y"] = "x"
    graph_def.library.function.append(function)


MUTATIONS = [
    recursion,
    deep_calls,
    change_function,
    gradients,
    nested_message,
    shadow,
]
