"""Changes of graphs: nodes, edges, attributes."""

from __future__ import annotations

import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2, node_def_pb2, types_pb2

from hub_keras_bridge.compat import tensorflow as private_tf
from stress.hostile.victim import NotApplicable, Victim

NUMBERS = [-(2**63), -(2**31), -2, -1, 0, 1, 2, 7, 2**16, 2**31 - 1, 2**31, 2**40, 2**63 - 1]
NAMES = ["", "^", ":", "a b", "/", "_x", "x:0:0", "\n", "é", "a" * 70_000, "../x", "module/x", "%s"]
_DTYPES = [0, *types_pb2.DataType.values(), 999, -1]
_ATTRIBUTES = ["dtype", "T", "shape", "value", "N", "container", "shared_name", "_class", "_XlaX"]


def cycle(victim: Victim) -> None:
    """Lets a node read what is computed from it."""
    nodes = {node.name: node for node in victim.meta_graph().graph_def.node}
    first = victim.choose([node for node in nodes.values() if node.input])
    last = first
    for _ in range(victim.random.choice([0, 1, 5])):
        below = [n for n in nodes.values() if any(r.split(":")[0] == last.name for r in n.input)]
        if not below:
            break
        last = victim.choose(below)
    position = victim.random.randrange(len(first.input))
    first.input[position] = ("^" if first.input[position].startswith("^") else "") + last.name


def duplicate_node(victim: Victim) -> None:
    nodes = victim.meta_graph().graph_def.node
    one = victim.choose(nodes)
    if victim.random.random() < 0.5:
        nodes.add().CopyFrom(one)
    else:
        one.name = victim.choose(nodes).name


def change_input(victim: Victim) -> None:
    node = victim.node(lambda node: bool(node.input))
    other = victim.node()
    node.input[victim.random.randrange(len(node.input))] = victim.choose(
        [
            "nowhere",
            "^nowhere",
            "",
            "^",
            ":0",
            f"{other.name}:7",
            f"{other.name}:-1",
            f"{other.name}:x",
            f"{other.name}:99999999999999999999",
            f"{other.name}:0:0",
            f"^{other.name}:0",
            f"^{node.name}",
            other.name,
            f"{other.name}:1",
            f"^{other.name}",
            *NAMES,
        ]
    )


def add_or_drop_input(victim: Victim) -> None:
    node = victim.node()
    if node.input and victim.random.random() < 0.5:
        del node.input[victim.random.randrange(len(node.input))]
    else:
        other = victim.node().name
        node.input.append(victim.choose([other, f"^{other}", "^nowhere", "nowhere"]))


def reverse_inputs(victim: Victim) -> None:
    node = victim.node(lambda node: len(node.input) > 1)
    node.input[:] = list(reversed(node.input))


def rename_node(victim: Victim) -> None:
    victim.node().name = victim.choose(NAMES)


def drop_node(victim: Victim) -> None:
    nodes = victim.meta_graph().graph_def.node
    if not nodes:
        raise NotApplicable
    del nodes[victim.random.randrange(len(nodes))]


def unknown_op(victim: Victim) -> None:
    victim.node().op = victim.choose(["Unheard", "", "SentencepieceOp", "\n", "Addons>X", "_Arg"])


def other_op(victim: Victim) -> None:
    """An op of the same graph, or any that is registered with as many inputs."""
    node = victim.node()
    count = sum(not reference.startswith("^") for reference in node.input)
    definitions = (private_tf.op_def(name) for name in dir(tf.raw_ops))
    names = [op.name for op in definitions if op is not None and len(op.input_arg) == count]
    node.op = victim.choose([victim.node().op, victim.choose(names)])


def other_kind_of_attribute(victim: Victim) -> None:
    node = victim.node()
    name = victim.choose([*sorted(node.attr), *_ATTRIBUTES])
    node.attr[name].CopyFrom(_any_attribute(victim))


def drop_attribute(victim: Victim) -> None:
    node = victim.node(lambda node: bool(node.attr))
    del node.attr[victim.choose(sorted(node.attr))]


def other_attribute(victim: Victim) -> None:
    """Another value of the same kind."""
    node = victim.node(lambda node: bool(node.attr))
    value = node.attr[victim.choose(sorted(node.attr))]
    match value.WhichOneof("value"):
        case "i":
            value.i = victim.choose(NUMBERS)
        case "f":
            value.f = victim.choose([float("nan"), float("inf"), -1.0, 1e30, 0.0])
        case "b":
            value.b = not value.b
        case "s":
            value.s = victim.choose([b"", b"\xff", b"x" * 100_000, b"SAME", b"../x", b"\0"])
        case "type":
            value.type = victim.choose(_DTYPES)
        case "shape":
            change_shape(victim, value.shape)
        case "tensor":
            _change_tensor(victim, value.tensor)
        case "func":
            value.func.name = victim.choose(NAMES)
        case "list":
            _change_list(victim, value.list)
        case _:
            raise NotApplicable


def _any_attribute(victim: Victim) -> attr_value_pb2.AttrValue:
    value = attr_value_pb2.AttrValue()
    match victim.random.randrange(9):
        case 0:
            value.i = victim.choose(NUMBERS)
        case 1:
            value.s = b"text"
        case 2:
            value.type = victim.choose(_DTYPES)
        case 3:
            value.shape.dim.add(size=victim.choose(NUMBERS))
        case 4:
            _giant(victim, value.tensor)
        case 5:
            value.func.name = "nowhere"
        case 6:
            value.list.i.extend(NUMBERS)
        case 7:
            value.placeholder = "T"
        case _:
            value.Clear()
    return value


def change_shape(victim: Victim, shape: object) -> None:
    """Another shape, maybe none that can be."""
    match victim.random.randrange(6):
        case 0:
            shape.unknown_rank = not shape.unknown_rank  # with dimensions all the same
        case 1:
            shape.dim.add(size=victim.choose(NUMBERS))
        case 2 if shape.dim:
            del shape.dim[0]
        case 3:
            for _ in range(victim.choose([9, 300])):
                shape.dim.add(size=2)
        case _ if shape.dim:
            victim.choose(shape.dim).size = victim.choose(NUMBERS)
        case _:
            raise NotApplicable


def _change_tensor(victim: Victim, tensor: object) -> None:
    match victim.random.randrange(6):
        case 0:
            tensor.dtype = victim.choose(_DTYPES)
        case 1:
            tensor.tensor_content = tensor.tensor_content[:-1] + b"x" * victim.choose([0, 9])
        case 2:
            _giant(victim, tensor)
        case 3:
            tensor.int_val.extend([-1] * victim.choose([1, 1000]))
        case 4 if tensor.tensor_content:
            content = bytearray(tensor.tensor_content)
            content[victim.random.randrange(len(content))] ^= 0xFF
            tensor.tensor_content = bytes(content)
        case _:
            change_shape(victim, tensor.tensor_shape)


def _giant(victim: Victim, tensor: object) -> None:
    """One value, said to be very many."""
    tensor.Clear()
    tensor.dtype = victim.choose([types_pb2.DT_FLOAT, types_pb2.DT_INT32, types_pb2.DT_STRING])
    for size in victim.choose([[2**40], [2**20, 2**20], [2**31], [2**62, 4], [2**33], [2**29]]):
        tensor.tensor_shape.dim.add(size=size)
    {
        types_pb2.DT_FLOAT: tensor.float_val,
        types_pb2.DT_INT32: tensor.int_val,
        types_pb2.DT_STRING: tensor.string_val,
    }[tensor.dtype].append(b"x" if tensor.dtype == types_pb2.DT_STRING else 1)


def _change_list(victim: Victim, values: object) -> None:
    for field in (values.i, values.s, values.type, values.f, values.b):
        if field:
            position = victim.random.randrange(len(field))
            match victim.random.randrange(3):
                case 0:
                    del field[position]
                case 1:
                    field.extend([field[position]] * victim.choose([1, 500]))
                case _ if field is values.i:
                    field[position] = victim.choose(NUMBERS)
                case _ if field is values.s:
                    field[position] = victim.choose([b"", b"\xff", b"loc:@nowhere"])
                case _ if field is values.type:
                    field[position] = victim.choose(_DTYPES)
            return
    if values.shape:
        return change_shape(victim, victim.choose(values.shape))
    values.i.append(victim.choose(NUMBERS))


def giant_constant(victim: Victim) -> None:
    node = victim.node(lambda node: node.op == "Const")
    dtype = node.attr["dtype"].type
    _giant(victim, node.attr["value"].tensor)
    node.attr["dtype"].type = victim.choose([dtype, node.attr["value"].tensor.dtype])


def giant_fill(victim: Victim) -> None:
    """Puts very many ones in front of a node, to be told from two small constants."""
    edge = victim.edge()
    dims, value, fill = (node_def_pb2.NodeDef() for _ in range(3))
    for const, number in ((dims, victim.choose([2**40, 2**33, 2**29, -1])), (value, 1)):
        const.name = f"giant_{victim.random.getrandbits(32)}"
        const.op = "Const"
        const.attr["dtype"].type = types_pb2.DT_INT64 if const is dims else types_pb2.DT_FLOAT
        tensor = const.attr["value"].tensor
        tensor.dtype = const.attr["dtype"].type
        if const is dims:
            tensor.tensor_shape.dim.add(size=1)
            tensor.int64_val.append(number)
        else:
            tensor.float_val.append(number)
    if edge.dtype == types_pb2.DT_INT32:
        value.attr["dtype"].type = value.attr["value"].tensor.dtype = types_pb2.DT_INT32
        value.attr["value"].tensor.int_val.append(1)
    fill.name = f"{dims.name}/fill"
    fill.op = "Fill"
    fill.input.extend([dims.name, value.name])
    fill.attr["T"].type = value.attr["dtype"].type
    fill.attr["index_type"].type = types_pb2.DT_INT64
    edge.graph_def.node.extend([dims, value, fill])
    edge.replace(fill.name)


def place(victim: Victim) -> None:
    victim.node().device = victim.choose(["/gpu:99", "nonsense", "/job:x/task:9", "/cpu:-1", "\0"])


def colocate(victim: Victim) -> None:
    node = victim.node()
    names = [b"loc:@nowhere", b"loc:@", b"\xff", b"loc:@" + node.name.encode(), b"loc:@a b"]
    node.attr["_class"].list.s.append(victim.choose(names))


def recorded_shapes(victim: Victim) -> None:
    shapes = victim.node().attr["_output_shapes"].list.shape
    del shapes[victim.choose([0, 0, 1]) :]
    shapes.add().dim.add(size=victim.choose(NUMBERS))


def versions(victim: Victim) -> None:
    versions = victim.meta_graph().graph_def.versions
    match victim.random.randrange(3):
        case 0:
            versions.producer = victim.choose([-1, 0, 8, 10**9])
        case 1:
            versions.min_consumer = victim.choose([-1, 10**9])
        case _:
            versions.bad_consumers.extend(range(3000))


def published_ops(victim: Victim) -> None:
    """The ops as the publisher's TensorFlow had them."""
    ops = victim.meta_graph().meta_info_def.stripped_op_list.op
    op = victim.choose(ops)
    match victim.random.randrange(4):
        case 0:
            op.attr.add(name="new", type=victim.choose(["int", "nonsense", ""]))
        case 1:
            op.input_arg.add(name="new", type=types_pb2.DT_FLOAT)
        case 2:
            ops.add().CopyFrom(op)
        case _:
            attribute = victim.choose(op.attr)
            attribute.default_value.CopyFrom(_any_attribute(victim))


def frames(victim: Victim) -> None:
    """Breaks the ring of a loop, or a conditional."""
    ops = ("Enter", "Exit", "Merge", "Switch", "NextIteration", "LoopCond")
    node = victim.node(lambda node: node.op in ops)
    match victim.random.randrange(3):
        case 0:
            node.op = victim.choose(ops)
        case 1:
            node.attr["frame_name"].s = victim.choose([b"", b"other", b"\xff"])
        case _:
            node.op = "Identity"


def long_chain(victim: Victim) -> None:
    """Very many nodes in a row, in front of a node or as references."""
    edge = victim.edge()
    source = edge.source
    op = victim.choose(["Identity", "Identity", "RefIdentity", "Switch"])
    for number in range(victim.choose([2000, 5000])):
        new = edge.graph_def.node.add(name=f"chain_{number}", op=op, input=[source])
        if op == "Switch":
            new.input.append(source)
        new.attr["T"].type = edge.dtype
        source = new.name
    edge.replace(source)


MUTATIONS = [
    cycle,
    duplicate_node,
    change_input,
    add_or_drop_input,
    reverse_inputs,
    rename_node,
    drop_node,
    unknown_op,
    other_op,
    other_kind_of_attribute,
    drop_attribute,
    other_attribute,
    giant_constant,
    giant_fill,
    place,
    colocate,
    recorded_shapes,
    versions,
    published_ops,
    frames,
    long_chain,
]
