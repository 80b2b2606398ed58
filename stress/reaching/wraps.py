"""Ways to run nodes other than having them in the graph: functions of all kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import tensorflow as tf
from tensorflow.core.framework import (
    attr_value_pb2,
    function_pb2,
    node_def_pb2,
    types_pb2,
)

from stress.reaching.case import Case, Part, const, in_function, node
from stress.reaching.payloads import by_attribute, payload, read_number

NOTHING = Part((), "", "nothing")
_FLOAT, _INT, _BOOL = types_pb2.DT_FLOAT, types_pb2.DT_INT32, types_pb2.DT_BOOL


def wrapped(case: Case) -> Part:
    """A payload, bare or in functions, one in another."""
    part = payload(case)
    while case.maybe(0.45):
        part = case.choose(WRAPS)(case, part)
    return part


def function(
    case: Case,
    part: Part,
    inputs: Iterable[int] = (),
    output: tuple[int, node_def_pb2.NodeDef] | None = None,
    *,
    count: int = 1,
    mark: str = "f",
) -> function_pb2.FunctionDef:
    """Adds a function to the library that runs a part and returns a constant.

    Args:
        case: whose library.
        part: what runs, by a control input of the constant or as an effect.
        inputs: dtypes of its arguments, which it ignores.
        output: dtype and node of what is returned instead of a float.
        count: how often that is returned.
        mark: begins its name.
    """
    dtype, result = output or (_FLOAT, const(case.name("result"), 1.0, tf.float32))
    copied = node_def_pb2.NodeDef()
    copied.CopyFrom(result)
    made = case.graph_def.library.function.add()
    made.signature.name = case.name(mark)
    for position, each in enumerate(inputs):
        made.signature.input_arg.add(name=f"x{position}", type=each)
    for position in range(count):
        made.signature.output_arg.add(name=f"y{position}", type=dtype)
        made.ret[f"y{position}"] = f"{copied.name}:output:0"
    if part.runs and count and case.maybe():
        copied.input.append(f"^{part.runs}")
    elif part.runs:
        made.control_ret["effect"] = part.runs
        made.signature.control_output.append("effect")
    made.signature.is_stateful = case.maybe(0.8)
    made.node_def.extend(in_function([*part.nodes, copied], case.functions))
    return made


def reference(name: str) -> attr_value_pb2.AttrValue:
    """A function as an attribute."""
    value = attr_value_pb2.AttrValue()
    value.func.name = name
    return value


def references(names: Iterable[str]) -> attr_value_pb2.AttrValue:
    """Functions as an attribute."""
    value = attr_value_pb2.AttrValue()
    for name in names:
        value.list.func.add(name=name)
    return value


def _nodes(part: Part, told: str, *nodes: node_def_pb2.NodeDef) -> Part:
    return Part(nodes, nodes[-1].name, f"{told} of {part.told}")


def as_op(case: Case, part: Part) -> Part:
    name = function(case, part).signature.name
    return _nodes(part, "call", node(case.name("call"), name))


def partitioned_call(case: Case, part: Part) -> Part:
    op = case.choose(["PartitionedCall", "StatefulPartitionedCall"])
    name = function(case, part).signature.name
    call = node(case.name("call"), op, Tin=[], Tout=[tf.float32], f=reference(name))
    return _nodes(part, op, call)


def branch(case: Case, part: Part) -> Part:
    op = case.choose(["If", "StatelessIf"])
    harmless = function(case, NOTHING, mark="harmless")
    names = [function(case, part).signature.name, harmless.signature.name]
    taken = case.maybe(0.7)
    if case.maybe():
        taken = not taken
        names.reverse()
    condition = const(case.name("condition"), taken, tf.bool)
    call = node(
        case.name("branch"),
        op,
        [condition.name],
        Tcond=tf.bool,
        Tin=[],
        Tout=[tf.float32],
        then_branch=reference(names[0]),
        else_branch=reference(names[1]),
    )
    return _nodes(part, op, condition, call)


def case_of(case: Case, part: Part) -> Part:
    op = case.choose(["Case", "StatelessCase"])
    name = function(case, part).signature.name
    index = const(case.name("index"), 0, tf.int32)
    branches = references([name, name])
    call = node(case.name("case"), op, [index.name], Tin=[], Tout=[tf.float32], branches=branches)
    return _nodes(part, op, index, call)


def loop(case: Case, part: Part) -> Part:
    """Of one turn, with the part as its body or its condition."""
    op = case.choose(["While", "StatelessWhile"])
    one = const(case.name("one"), 1, tf.int32)
    no = const(case.name("no"), False, tf.bool)
    in_body = case.maybe()
    body = function(case, part if in_body else NOTHING, [_INT], (_INT, one))
    condition = function(case, NOTHING if in_body else part, [_INT], (_BOOL, no))
    if in_body:  # which counts from 0 to 1
        less = node("less", "Less", ["x0", "limit:output:0"], T=tf.int32)
        condition.node_def.extend([const("limit", 1, tf.int32), less])
        condition.ret["y0"] = "less:z:0"
    start = const(case.name("start"), 0, tf.int32)
    call = node(
        case.name("loop"),
        op,
        [start.name],
        T=[tf.int32],
        cond=reference(condition.signature.name),
        body=reference(body.signature.name),
        output_shapes=[tf.TensorShape([])],
    )
    return _nodes(part, f"{op} {'body' if in_body else 'condition'}", start, call)


def symbolic_gradient(case: Case, part: Part) -> Part:
    """The gradient of a function that has the part, or whose registered gradient has."""
    given = const(case.name("given"), 1.0, tf.float32)
    name = function(case, part, [_FLOAT]).signature.name
    call = node(
        case.name("gradient"),
        "SymbolicGradient",
        [given.name, given.name],
        Tin=[tf.float32, tf.float32],
        Tout=[tf.float32],
        f=reference(name),
    )
    return _nodes(part, "SymbolicGradient", given, call)


def remote_call(case: Case, part: Part) -> Part:
    name = function(case, part, [_FLOAT]).signature.name
    target = const(case.name("target"), "/job:localhost/replica:0/task:0/device:CPU:0", tf.string)
    given = const(case.name("given"), 1.0, tf.float32)
    call = node(
        case.name("remote"),
        "RemoteCall",
        [target.name, given.name],
        Tin=[tf.float32],
        Tout=[tf.float32],
        f=reference(name),
    )
    return _nodes(part, "RemoteCall", target, given, call)


def map_defun(case: Case, part: Part) -> Part:
    name = function(case, part, [_FLOAT]).signature.name
    given = const(case.name("given"), [1.0, 2.0], tf.float32)
    call = node(
        case.name("map"),
        "MapDefun",
        [given.name],
        Targuments=[tf.float32],
        Tcaptured=[],
        output_types=[tf.float32],
        output_shapes=[tf.TensorShape([])],
        f=reference(name),
    )
    return _nodes(part, "MapDefun", given, call)


def dataset_map(case: Case, part: Part) -> Part:
    name = function(case, part, [_FLOAT]).signature.name
    given = const(case.name("given"), 1.0, tf.float32)
    shapes = {"output_types": [tf.float32], "output_shapes": [tf.TensorShape([])]}
    start = node(
        case.name("dataset"),
        "TensorDataset",
        [given.name],
        Toutput_types=[tf.float32],
        output_shapes=[tf.TensorShape([])],
    )
    mapped = node(
        case.name("mapped"), "MapDataset", [start.name], f=reference(name), Targuments=[], **shapes
    )
    first = node(case.name("first"), "DatasetToSingleElement", [mapped.name], **shapes)
    return _nodes(part, "MapDataset", given, start, mapped, first)


def library_gradient(case: Case, part: Part) -> Part:
    """A call of a harmless function whose gradient in the library has the part."""
    x = node("x", "Identity", ["x0"], T=tf.float32)
    harmless = function(case, Part((x,), "x", ""), [_FLOAT], mark="harmless")
    gradient = function(case, part, [_FLOAT, _FLOAT])
    case.graph_def.library.gradient.add(
        function_name=harmless.signature.name, gradient_func=gradient.signature.name
    )
    given = const(case.name("given"), 1.0, tf.float32)
    call = node(case.name("call"), harmless.signature.name, [given.name])
    if case.maybe():
        return _nodes(part, "library gradient", given, call)
    ask = node(
        case.name("gradient"),
        "SymbolicGradient",
        [given.name, given.name],
        Tin=[tf.float32, tf.float32],
        Tout=[tf.float32],
        f=reference(harmless.signature.name),
    )
    return _nodes(part, "SymbolicGradient by the library", given, ask)


def passed_on(case: Case, part: Part) -> Part:
    """A function passed through the attributes of another reference."""
    inner = function(case, part).signature.name
    harmless = function(case, Part((node("n", "NoOp"),), "n", ""), mark="harmless")
    value = reference(harmless.signature.name)
    value.func.attr["f"].CopyFrom(reference(inner))
    call = node(case.name("call"), "PartitionedCall", Tin=[], Tout=[tf.float32], f=value)
    return _nodes(part, "function within an attribute", call)


def by_placeholder(case: Case, part: Part) -> Part:  # noqa: ARG001
    """An attribute that the caller binds, in place of the part."""
    inner, runs, attribute = by_attribute(case)
    bound = attr_value_pb2.AttrValue(s=runs.attr[attribute].s)
    runs.attr[attribute].placeholder = "bound"
    made = function(case, inner)
    made.signature.attr.add(name="bound", type="string")
    if case.maybe():
        call = node(case.name("call"), made.signature.name, bound=bound)
    else:
        value = reference(made.signature.name)
        value.func.attr["bound"].CopyFrom(bound)
        call = node(case.name("call"), "PartitionedCall", Tin=[], Tout=[tf.float32], f=value)
    return _nodes(inner, "placeholder", call)


def shape_of_file(case: Case, part: Part) -> Part:  # noqa: ARG001
    """In place of the part: a file's content as a shape, which TensorFlow may want early."""
    read = read_number(case)
    given = const(case.name("given"), 1.0, tf.float32)
    axis = const(case.name("axis"), 0, tf.int32)
    shape = node(
        case.name("shape"), "ExpandDims", [read.runs, axis.name], T=tf.int32, Tdim=tf.int32
    )
    op = case.choose(["Fill", "BroadcastTo", "Reshape", "Tile", "RandomUniform", "Placeholder"])
    match op:
        case "Fill":
            use = node(case.name("use"), op, [shape.name, given.name], T=tf.float32)
        case "BroadcastTo":
            use = node(case.name("use"), op, [given.name, shape.name], T=tf.float32)
        case "Reshape" | "Tile":
            given = const(given.name, [1.0, 2.0, 3.0], tf.float32)
            key = "Tshape" if op == "Reshape" else "Tmultiples"
            use = node(case.name("use"), op, [given.name, shape.name], T=tf.float32)
            use.attr[key].type = _INT
        case "RandomUniform":
            use = node(case.name("use"), op, [shape.name], T=tf.int32, dtype=tf.float32)
        case _:
            use = node(case.name("use"), "Range", [axis.name, read.runs, axis.name], Tidx=tf.int32)
    nodes = (*read.nodes, given, axis, shape, use)
    return Part(nodes, use.name, f"shape of {op} read from a file")


WRAPS: list[Callable[[Case, Part], Part]] = [
    as_op,
    partitioned_call,
    branch,
    case_of,
    loop,
    symbolic_gradient,
    remote_call,
    map_defun,
    dataset_map,
    library_gradient,
    passed_on,
    by_placeholder,
    shape_of_file,
]
