"""Nodes that reach outside: any op that safe mode refuses, with inputs that it takes."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import (
    attr_value_pb2,
    function_pb2,
    graph_pb2,
    node_def_pb2,
    op_def_pb2,
    types_pb2,
)

from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.graphs.ops.reach import Reach, reviewed_ops
from stress.reaching.case import MARK, Case, Part, const, is_registered, node

_REFUSED = frozenset(Reach) - {Reach.COMPUTE, Reach.STATE, Reach.NAMED}
# In files that tell at once that something was reached.
_LOUD = ["ReadFile", "WriteFile", "MatchingFiles", "SaveV2", "RestoreV2", "DebugIdentityV2"]
# Their shape functions end the process.
_DEADLY = frozenset({"QuantizedConcatV2", "XlaSparseGradientsStack"})
_ATTRIBUTES = {
    "PrintV2": ("output_stream", "file://{}/printed"),
    "DecodeProtoV2": ("descriptor_source", "{}/secret"),
    "EncodeProto": ("descriptor_source", "{}/secret"),
    "FixedUnigramCandidateSampler": ("vocab_file", "{}/secret"),
}
# By these an op finds a file, or what others made.
_NAMES = {
    "ImmutableConst": ("memory_region_name", "{}/secret"),
    "VarHandleOp": ("shared_name", "w"),
    "HashTableV2": ("shared_name", "hash_table"),
    "MutableHashTableV2": ("container", "others"),
}


@functools.cache
def refused_ops() -> tuple[str, ...]:
    """All that safe mode refuses whatever its attributes, and TensorFlow has."""
    return tuple(
        op
        for op, reach in sorted(reviewed_ops().items())
        if reach in _REFUSED and op not in _ATTRIBUTES and is_registered(op)
    )


def payload(case: Case) -> Part:
    """A node that reaches outside, and what it reads.

    A node that prints the case's mark stands before it, for nothing else's sake:
    where the mark is printed, the op was run, or would have been next.
    """
    kind = case.choose([_loud, _loud, _loud, _by_attribute, _any, _any, *_CHAINS])
    part = kind(case)
    text = const(case.name("text"), case.outside.mark, tf.string)
    mark = node(case.name(MARK), "PrintV2", [text.name], output_stream="stderr")
    runs = next(each for each in part.nodes if each.name == part.runs)
    runs.input.append(f"^{mark.name}")
    return Part((text, mark, *part.nodes), part.runs, part.told)


def read_number(case: Case) -> Part:
    """Reads a file with a number in it, as int32."""
    path = const(case.name("path"), f"{case.outside.folder}/secret", tf.string)
    read = node(case.name("read"), "ReadFile", [path.name])
    number = node(case.name("number"), "StringToNumber", [read.name], out_type=tf.int32)
    return Part((path, read, number), number.name, "ReadFile as a number")


def _loud(case: Case) -> Part:
    op = case.choose(_LOUD)
    folder = case.outside.folder
    path = const(case.name("path"), f"{folder}/secret", tf.string)
    match op:
        case "WriteFile":
            path = const(path.name, f"{folder}/{case.name('written')}", tf.string)
            text = const(case.name("text"), "written", tf.string)
            made = [text, node(case.name("write"), op, [path.name, text.name])]
        case "SaveV2" | "RestoreV2":
            names = const(case.name("names"), ["x"], tf.string)
            slices = const(case.name("slices"), [""], tf.string)
            made = [names, slices]
            inputs = [path.name, names.name, slices.name]
            if op == "SaveV2":
                made.append(const(case.name("value"), 1.0, tf.float32))
                inputs.append(made[-1].name)
            made.append(node(case.name("bundle"), op, inputs, dtypes=[tf.float32]))
        case "DebugIdentityV2":
            urls = attr_value_pb2.AttrValue()
            urls.list.s.append(f"file://{folder}".encode())
            made = [
                const(case.name("value"), 1.0, tf.float32),
                node(
                    case.name("debug"), op, [], T=tf.float32, debug_urls=urls, tensor_debug_mode=4
                ),
            ]
            made[1].input.append(made[0].name)
        case _:
            if op == "MatchingFiles":
                path = const(path.name, f"{folder}/s*", tf.string)
            made = [node(case.name("read"), op, [path.name])]
    return Part((path, *made), made[-1].name, op)


def _by_attribute(case: Case) -> Part:
    """An op that an attribute sends outside."""
    op = case.choose(_ATTRIBUTES)
    attribute, value = _ATTRIBUTES[op]
    return _made(case, op, {attribute: value.format(case.outside.folder)})


def by_attribute(case: Case) -> tuple[Part, node_def_pb2.NodeDef, str]:
    """An op that an attribute sends outside, or to another's state; its node, the attribute."""
    attributes = {**_ATTRIBUTES, **_NAMES}
    op = case.choose(attributes)
    attribute, value = attributes[op]
    part = _made(case, op, {attribute: value.format(case.outside.folder)})
    runs = next(each for each in part.nodes if each.name == part.runs)
    for key, dtype in ("key_dtype", types_pb2.DT_STRING), ("value_dtype", types_pb2.DT_INT64):
        if key in runs.attr:  # that a table can have
            runs.attr[key].type = dtype
    return part, runs, attribute


def _any(case: Case) -> Part:
    """Of each kind as often: few ops read files, very many are unknown."""
    kind = case.choose(sorted(_REFUSED))
    ops = [op for op in refused_ops() if reviewed_ops()[op] is kind]
    return _made(case, case.choose(ops or refused_ops()), {})


def _text_lines(case: Case) -> Part:
    return _dataset(case, "TextLineDataset", [("compression_type", ""), ("buffer_size", 0)])


def _records(case: Case) -> Part:
    return _dataset(case, "TFRecordDataset", [("compression_type", ""), ("buffer_size", 0)])


def _dataset(case: Case, op: str, more: list[tuple[str, Any]]) -> Part:
    file = const(case.name("path"), f"{case.outside.folder}/secret", tf.string)
    rest = [
        const(case.name(name), value, tf.string if value == "" else tf.int64)
        for name, value in more
    ]
    dataset = node(case.name("dataset"), op, [file.name, *(each.name for each in rest)])
    first = node(
        case.name("first"),
        "DatasetToSingleElement",
        [dataset.name],
        output_types=[tf.string],
        output_shapes=[tf.TensorShape([])],
    )
    return Part((file, *rest, dataset, first), first.name, f"{op} and its first element")


def _reader(case: Case) -> Part:
    op = case.choose(["TextLineReaderV2", "WholeFileReaderV2", "TFRecordReaderV2"])
    file = const(case.name("path"), f"{case.outside.folder}/secret", tf.string)
    queue = node(case.name("queue"), "FIFOQueueV2", component_types=[tf.string])
    put = node(case.name("put"), "QueueEnqueueV2", [queue.name, file.name], Tcomponents=[tf.string])
    reader = node(case.name("reader"), op)
    read = node(case.name("read"), "ReaderReadV2", [reader.name, queue.name, f"^{put.name}"])
    return Part((file, queue, put, reader, read), read.name, f"{op} from a queue")


def _summary(case: Case) -> Part:
    nodes = [node(case.name("writer"), "SummaryWriter")]
    inputs = [nodes[0].name]
    for value, dtype in [
        (case.outside.folder, tf.string),
        (1, tf.int32),
        (1, tf.int32),
        ("x", tf.string),
    ]:
        nodes.append(const(case.name("given"), value, dtype))
        inputs.append(nodes[-1].name)
    made = node(case.name("summary"), "CreateSummaryFileWriter", inputs)
    return Part((*nodes, made), made.name, "CreateSummaryFileWriter")


_CHAINS: list[Callable[[Case], Part]] = [_text_lines, _records, _reader, _summary]


# --- any op ---


def _made(case: Case, op: str, attributes: dict[str, str]) -> Part:
    """A node of any registered op, and constants that it takes."""
    ranks = _ranks(op)
    nodes = list(_nodes(op, ranks, case.outside, case.name))
    runs = nodes[-1]
    for key, value in attributes.items():
        runs.attr[key].s = value.encode()
    if NOTHING.signature.name not in case.functions:
        case.graph_def.library.function.append(NOTHING)
    return Part(tuple(nodes), runs.name, op)


@functools.cache
def _ranks(op: str) -> tuple[int, ...]:
    """Ranks of inputs that the op's shape function takes; found by trying."""
    definition = private_tf.op_def(op)
    count = len(definition.input_arg)
    if op in _DEADLY:
        return (0,) * count
    every = itertools.product((0, 1, 2), repeat=count)
    tried = sorted(itertools.islice(every, 243), key=lambda ranks: len(set(ranks)))
    for ranks in tried[:60]:
        counter = itertools.count()
        graph_def = graph_pb2.GraphDef()
        try:
            graph_def.node.extend(
                _nodes(op, ranks, None, lambda stem: f"{stem}_{next(counter)}")  # noqa: B023
            )
            graph_def.library.function.append(NOTHING)
            with tf.Graph().as_default():
                tf.import_graph_def(graph_def)
        except Exception:  # of any kind: it is no valid node
            continue
        return ranks
    return (0,) * count


NOTHING = function_pb2.FunctionDef(signature=op_def_pb2.OpDef(name="a_function_of_nothing"))


def _nodes(
    op: str, ranks: tuple[int, ...], outside: Any, name: Callable[[str], str]
) -> Iterator[node_def_pb2.NodeDef]:
    definition = private_tf.op_def(op)
    path = f"{outside.folder}/secret" if outside else "/nowhere/secret"
    address = f"localhost:{outside.port if outside else 1}"
    made = node_def_pb2.NodeDef(name=name(op.strip("_").lower()), op=op)
    for attribute in definition.attr:
        if not attribute.HasField("default_value"):
            made.attr[attribute.name].CopyFrom(_attribute(attribute, path))
    for argument, rank in zip(definition.input_arg, ranks, strict=True):
        for dtype in _dtypes(argument, made, definition):
            is_address = any(word in argument.name for word in ("address", "target", "host"))
            text = address if is_address else path
            given = list(_given(name, dtype, rank, text, argument.is_ref))
            yield from given
            made.input.append(given[-1].name)
    yield made


def _attribute(wanted: op_def_pb2.OpDef.AttrDef, path: str) -> attr_value_pb2.AttrValue:
    value = attr_value_pb2.AttrValue()
    allowed = wanted.allowed_values.list
    match wanted.type:
        case "type":
            floats = [types_pb2.DT_FLOAT] if types_pb2.DT_FLOAT in allowed.type else allowed.type
            value.type = floats[0] if floats else types_pb2.DT_FLOAT
        case "list(type)":
            value.list.type.append(types_pb2.DT_STRING)
        case "int":
            value.i = max(wanted.minimum, 1)
        case "list(int)":
            value.list.i.append(1)
        case "float":
            value.f = 1.0
        case "list(float)":
            value.list.f.append(1.0)
        case "bool":
            value.b = False
        case "list(bool)":
            value.list.b.append(False)
        case "string":
            value.s = allowed.s[0] if allowed.s else path.encode()
        case "list(string)":
            value.list.s.append(path.encode())
        case "shape":
            value.shape.SetInParent()
        case "list(shape)":
            value.list.shape.add()
        case "func":
            value.func.name = NOTHING.signature.name
        case "list(func)":
            value.list.func.add(name=NOTHING.signature.name)
        case "tensor":
            value.tensor.CopyFrom(tf.make_tensor_proto(1.0))
    return value


def _dtypes(
    argument: op_def_pb2.OpDef.ArgDef, made: node_def_pb2.NodeDef, definition: op_def_pb2.OpDef
) -> list[int]:
    defaults = {each.name: each.default_value for each in definition.attr}

    def of(name: str) -> attr_value_pb2.AttrValue:
        return made.attr[name] if name in made.attr else defaults[name]

    if argument.type_list_attr:
        return list(of(argument.type_list_attr).list.type)
    dtype = argument.type or of(argument.type_attr).type
    return [dtype] * (of(argument.number_attr).i if argument.number_attr else 1)


def _given(
    name: Callable[[str], str], dtype: int, rank: int, text: str, is_ref: bool
) -> Iterator[node_def_pb2.NodeDef]:
    kind = tf.as_dtype(dtype)
    shape = [1] * rank
    if is_ref:
        yield node(name("ref"), "VariableV2", dtype=kind, shape=tf.TensorShape(shape))
    elif kind == tf.resource:
        yield node(name("handle"), "VarHandleOp", dtype=tf.float32, shape=tf.TensorShape([]))
    elif kind == tf.variant:
        size = const(name("size"), 1, tf.int32)
        shape_of = const(name("shape"), [1], tf.int32)
        yield from (size, shape_of)
        yield node(
            name("variant"),
            "EmptyTensorList",
            [shape_of.name, size.name],
            element_dtype=tf.float32,
            shape_type=tf.int32,
        )
    elif kind.is_quantized:
        sizes = const(name("sizes"), tf.zeros([rank], tf.int32).numpy() + 1, tf.int32)
        yield sizes
        yield node(name("empty"), "Empty", [sizes.name], dtype=kind)
    elif kind == tf.string:
        yield const(name("given"), tf.fill(shape, text).numpy() if rank else text, tf.string)
    else:
        yield const(name("given"), tf.ones(shape, kind).numpy(), kind)
