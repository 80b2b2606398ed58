"""Names that mislead, assets that lead elsewhere, variables and collections that lie."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
from google.protobuf import any_pb2
from tensorflow.core.framework import node_def_pb2, types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from hub_keras_bridge.graphs import graph
from hub_keras_bridge.graphs.ops.reach import Reach, reviewed_ops
from stress.reaching.case import Case, NotApplicable, node, output_dtypes
from stress.reaching.places import add
from stress.reaching.wraps import function, reference, wrapped

# --- names ---


def function_named_as_an_op(case: Case) -> str:
    """A function of the library has the name of an op that the graph uses."""
    part = wrapped(case)
    op = case.choose({each.op for each in case.graph_def.node} | {"ReadVariableOp", "Identity"})
    made = function(case, part)
    made.signature.name = op
    return f"{part.told} in a function named {op}"


def function_named_as_another(case: Case) -> str:
    """Two functions of one name: which one counts?"""
    part = wrapped(case)
    name = case.choose(case.graph_def.library.function).signature.name
    made = function(case, part)
    original = case.functions[name].signature
    made.signature.CopyFrom(original)
    for argument in original.output_arg:
        made.ret[argument.name] = made.ret["y0"]
    if case.maybe():  # before the other one
        functions = list(case.graph_def.library.function)
        del case.graph_def.library.function[:]
        case.graph_def.library.function.extend([functions[-1], *functions[:-1]])
    return f"{part.told} in a second {name}"


def node_named_as_another(case: Case) -> str:
    part = wrapped(case)
    add(case, part)
    other = case.choose(case.nodes).name
    for each in case.graph_def.node:
        if each.name == part.runs:
            each.name = other
    return f"{part.told} in a second node {other}"


def swapped_functions(case: Case) -> str:
    """A function with a payload takes the name of another, and that one its."""
    part = wrapped(case)
    made = function(case, part)
    other = case.choose([f for f in case.graph_def.library.function if f is not made])
    made.signature.name, other.signature.name = other.signature.name, made.signature.name
    return f"{part.told} in what was {made.signature.name}"


def function_named_as_its_caller(case: Case) -> str:
    """A function that calls itself, directly or through another."""
    part = wrapped(case)
    one = function(case, part)
    two = function(case, part)
    for each, called in ((one, two), (two, case.choose([one, two]))):
        name = called.signature.name
        call = node(case.name("again"), case.choose(["PartitionedCall", name]))
        if call.op == "PartitionedCall":
            call = node(call.name, call.op, Tin=[], Tout=[tf.float32], f=reference(name))
        each.node_def.append(call)
    call = node(case.name("call"), one.signature.name)
    case.graph_def.node.append(call)
    target = case.choose(case.nodes)
    if target is not call:
        target.input.append(f"^{call.name}")
    return f"{part.told} in functions that call each other, before {target.name}"


def cycle(case: Case) -> str:
    """A control edge that closes a ring."""
    nodes = {each.name: each for each in case.nodes}
    first = case.choose([each for each in nodes.values() if each.input])
    above = graph.node_name(case.choose(first.input).lstrip("^"))
    if above not in nodes:
        raise NotApplicable
    nodes[above].input.append(f"^{first.name}")
    return f"{above} waits for {first.name}"


def control_edge(case: Case) -> str:
    """From any node to any other."""
    one, other = case.choose(case.nodes), case.choose(case.nodes)
    other.input.append(f"^{one.name}")
    return f"{other.name} ({other.op}) waits for {one.name} ({one.op})"


def op_with_a_scope(case: Case) -> str:
    """An op that nobody has, of a node that is needed or not."""
    target = case.node()
    told = f"{target.name} ({target.op})"
    target.op = case.choose(["Unheard", "Addons>Op", "_Send", "_Recv", "_HostSend", "__x", "é"])
    return f"{told} becomes {target.op}"


def other_op(case: Case) -> str:
    """A node becomes another op of the list, attributes and inputs unchanged."""
    target = case.node()
    told = f"{target.name} ({target.op})"
    refused = [
        op for op, reach in reviewed_ops().items() if reach not in (Reach.COMPUTE, Reach.STATE)
    ]
    target.op = case.choose(refused)
    return f"{told} becomes {target.op}"


# --- assets ---

_PATHS = [
    "{outside}/secret",
    "../../../../../../../../..{outside}/secret",
    "../secret",
    "..",
    ".",
    "",
    "/",
    "vocab\0.txt",
    "file://{outside}/secret",
    "http://127.0.0.1:{port}/x",
    "gs://bucket/x",
    "ram://x",
    "./../assets/../../outside/secret",
    "..\\..\\secret",
    "a/b",
    "\udcff".encode("utf-8", "surrogateescape").decode("latin-1"),
]


def _path(case: Case) -> str:
    text = case.choose(_PATHS)
    return text.format(outside=case.outside.folder, port=case.outside.port)


def asset_name(case: Case) -> str:
    """Another file for an asset."""
    path = _path(case)
    packed = case.collection("saved_model_assets").any_list.value
    count = len(packed) + len(case.meta_graph.asset_file_def)
    if not count:
        raise NotApplicable
    if packed:
        position = case.drawn.randrange(len(packed))
        asset = meta_graph_pb2.AssetFileDef()
        packed[position].Unpack(asset)
        asset.filename = path
        packed[position].Pack(asset)
    if case.meta_graph.asset_file_def:
        case.choose(case.meta_graph.asset_file_def).filename = path
    return f"an asset at {path!r}"


def new_asset(case: Case) -> str:
    """Any string constant, or any tensor at all, becomes an asset."""
    path = _path(case)
    strings = [
        each
        for each in case.graph_def.node
        if each.op == "Const" and each.attr["dtype"].type == types_pb2.DT_STRING
    ]
    target = case.choose(strings if strings and case.maybe(0.7) else case.graph_def.node)
    asset = meta_graph_pb2.AssetFileDef(filename=path)
    asset.tensor_info.name = f"{target.name}:0"
    packed = any_pb2.Any()
    packed.Pack(asset)
    case.meta_graph.collection_def["saved_model_assets"].any_list.value.append(packed)
    case.meta_graph.asset_file_def.append(asset)
    return f"{target.name} as an asset at {path!r}"


def asset_value(case: Case) -> str:
    """The path that an asset's constant has in the graph."""
    strings = [
        each
        for each in case.graph_def.node
        if each.op == "Const" and each.attr["dtype"].type == types_pb2.DT_STRING
    ]
    target = case.choose(strings)
    path = _path(case)
    value = tf.compat.as_bytes(path)
    target.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
    return f"{target.name} holds {path!r}"


def vocabulary_elsewhere(case: Case) -> str:
    """A table is filled from a file that is no asset."""
    ops = ("InitializeTableFromTextFileV2", "InitializeTableFromTextFile", "ReadFile")
    bodies = [case.nodes, *(f.node_def for f in case.graph_def.library.function)]
    found = [(body, each) for body in bodies for each in body if each.op in ops]
    body, target = case.choose(found)
    path = node_def_pb2.NodeDef(name=case.name("path"), op="Const")
    path.attr["dtype"].type = types_pb2.DT_STRING
    path.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(tf.compat.as_bytes(_path(case))))
    source = path.name if body is case.graph_def.node else f"{path.name}:output:0"
    target.input[0 if target.op == "ReadFile" else 1] = source
    body.append(path)
    return f"{target.name} ({target.op}) reads elsewhere"


# --- variables ---


def variable_dtype(case: Case) -> str:
    target = case.choose([n for n in case.nodes if n.op in ("VarHandleOp", "VariableV2")])
    dtype = case.choose(types_pb2.DataType.values())
    target.attr["dtype"].type = dtype
    return f"{target.name} of dtype {types_pb2.DataType.Name(dtype)}"


def variable_shape(case: Case) -> str:
    target = case.choose([n for n in case.nodes if n.op in ("VarHandleOp", "VariableV2")])
    shape = target.attr["shape"].shape
    if shape.dim and case.maybe():
        case.choose(shape.dim).size = case.choose([-1, 0, 3, 2**31, 2**62])
    else:
        shape.unknown_rank = True
        del shape.dim[:]
    return f"{target.name} of another shape"


def variable_place(case: Case) -> str:
    """Another's name or container."""
    target = case.choose([n for n in case.nodes if n.op in ("VarHandleOp", "VariableV2")])
    key = case.choose(["shared_name", "container", "_class", "allowed_devices", "debug_name"])
    others = [n.name for n in case.nodes if n.op == target.op]
    if key in ("_class", "allowed_devices"):
        target.attr[key].list.s.append(b"loc:@" + case.choose(others).encode())
    else:
        target.attr[key].s = case.choose(
            [*others, "", "cd2c89b7-88b7-44c8-ad83-06c2a9158347"]
        ).encode()
    return f"{key} of {target.name}"


# --- collections and signatures ---

_BYTES = [b"", b"\xff", b"\x0a\xff", b"\x08" * 100, b"\x0a\x03abc", bytes(1000)]


def collection_bytes(case: Case) -> str:
    keys = [*case.meta_graph.collection_def, "variables", "cond_context", "while_context", "savers"]
    keys += ["hub_module_attachments", "model_variables", "table_initializer", "saved_model_assets"]
    key = case.choose(sorted(set(keys)))
    collection = case.meta_graph.collection_def[key]
    if case.maybe(0.7):
        collection.bytes_list.value.append(case.choose(_BYTES))
    else:
        collection.node_list.value.append(case.choose(["", "^", "nowhere", "nowhere:0", "a:b:c"]))
    return f"bytes in {key}"


def signature_of_other_tensors(case: Case) -> str:
    signature = case.choose_value(case.meta_graph.signature_def)
    infos = [side[key] for side in (signature.inputs, signature.outputs) for key in sorted(side)]
    info = case.choose(infos)
    target = case.choose(case.nodes)
    info.name = f"{target.name}:0"
    dtypes = output_dtypes(target, case)
    if dtypes and case.maybe(0.7):
        info.dtype = dtypes[0]
        info.tensor_shape.unknown_rank = True
        del info.tensor_shape.dim[:]
    return f"a signature uses {target.name} ({target.op})"


def handle_from_bytes(case: Case) -> str:
    """A resource or variant handle made of a constant's bytes."""
    target = case.choose([each for each in case.nodes if each.input])
    made = node(case.name("handle"), case.choose(["Const", "HostConst"]))
    made.attr["dtype"].type = case.choose([types_pb2.DT_RESOURCE, types_pb2.DT_VARIANT])
    tensor = made.attr["value"].tensor
    tensor.dtype = made.attr["dtype"].type
    if tensor.dtype == types_pb2.DT_RESOURCE:
        tensor.resource_handle_val.add(device="/cpu:0", container="localhost", name="x")
    else:
        tensor.variant_val.add(
            type_name=case.choose(["tensorflow::TensorList", "x"]), metadata=b"\xff"
        )
    case.graph_def.node.append(made)
    if case.maybe():
        target.input[0] = made.name
    else:
        target.input.append(f"^{made.name}")
    return f"{made.op} of a handle into {target.name}"


FACTS: list[Callable[[Case], str]] = [
    function_named_as_an_op,
    function_named_as_another,
    node_named_as_another,
    swapped_functions,
    function_named_as_its_caller,
    cycle,
    control_edge,
    op_with_a_scope,
    other_op,
    asset_name,
    new_asset,
    asset_value,
    vocabulary_elsewhere,
    variable_dtype,
    variable_shape,
    variable_place,
    collection_bytes,
    signature_of_other_tensors,
    handle_from_bytes,
]
