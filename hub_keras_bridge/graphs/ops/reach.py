"""What an op can touch outside its graph, as reviewed.

``reviewed_ops.txt`` lists every op of TensorFlow's registry, and the text ops
of tensorflow_text, under what it can reach. ``scripts/op_rules.py`` says by what rule
an op came under its heading. An op that is not in the list is unknown, however
harmless its registered definition looks: nobody has read what it does.
"""

from __future__ import annotations

import configparser
import enum
import functools
import importlib.resources
from collections.abc import Callable, Mapping

from tensorflow.core.framework import node_def_pb2, types_pb2

_REVIEWED = "reviewed_ops.txt"


class Reach(str, enum.Enum):
    """What an op can touch; the values are the headings of the reviewed list."""

    COMPUTE = "compute"
    """Its inputs and attributes alone."""
    STATE = "state"
    """What a handle among its inputs leads to, its own random numbers, the console."""
    NAMED = "named state"
    """State that is found by name, such as a variable or a table: the module's
    own where the module says so, else anybody's in the process."""
    READS = "reads files"
    WRITES = "writes files"
    NETWORK = "network"
    PYTHON = "python"
    PROCESS = "process"
    """The process around it: its devices, its threads, its clock, its end, and
    what others keep in it."""
    UNKNOWN = "unknown"
    """Nobody knows, or nobody who publishes a module has a use for it."""


@functools.cache
def reviewed_ops() -> Mapping[str, Reach]:
    """The reviewed list: name of an op -> what it can reach."""
    text = importlib.resources.files(__package__).joinpath(_REVIEWED).read_text("utf-8")
    parser = configparser.ConfigParser(
        allow_no_value=True, delimiters=("=",), comment_prefixes=("#",), interpolation=None
    )
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # keep upper case
    parser.read_string(text)
    return {op: Reach(heading) for heading in parser.sections() for op in parser[heading]}


def reach_of_op(op: str) -> Reach:
    """What an op can reach at worst, whatever its attributes.

    >>> [reach_of_op(op).value for op in ("MatMul", "WriteFile", "Unheard")]
    ['compute', 'writes files', 'unknown']
    """
    return reviewed_ops().get(op, Reach.UNKNOWN)


def reach_of(node: node_def_pb2.NodeDef) -> Reach:
    """What a node can reach, its attributes considered.

    >>> reach_of(node_def_pb2.NodeDef(op="PrintV2")).value  # to stderr
    'state'
    """
    if _makes_handles(node):
        return Reach.PROCESS
    known = _BY_ATTRIBUTE.get(node.op)
    if known is not None:
        attribute, default, is_inside = known
        # Publishing strips attributes that have their default value.
        kind, value = "s", default
        if attribute in node.attr:
            kind, value = node.attr[attribute].WhichOneof("value") or "", node.attr[attribute].s
        # Else whoever calls the function around it says what the value is.
        if kind == "s" and is_inside(value):
            return Reach.STATE
    return reach_of_op(node.op)


def _is_console(stream: bytes) -> bool:
    return stream in _CONSOLE


def _is_built_in(descriptors: bytes) -> bool:
    # Otherwise it is the name of a file.
    return descriptors in (b"", b"local://") or descriptors.startswith(b"bytes://")


def _is_empty(file: bytes) -> bool:
    return not file


_CONSOLE = frozenset(
    {b"stdout", b"stderr", b"log(info)", b"log(warning)", b"log(error)"}  # else "file://..."
)

# Ops that an attribute sends outside: its name, its default, and whether a
# value of it keeps the op in.
_BY_ATTRIBUTE: Mapping[str, tuple[str, bytes, Callable[[bytes], bool]]] = {
    "PrintV2": ("output_stream", b"stderr", _is_console),
    "DecodeProtoV2": ("descriptor_source", b"local://", _is_built_in),
    "EncodeProto": ("descriptor_source", b"local://", _is_built_in),
    "FixedUnigramCandidateSampler": ("vocab_file", b"", _is_empty),
}

# Ops that make tensors of any dtype out of bytes, and the attribute with the
# dtype. A resource among these is a handle to what somebody else made.
_FROM_BYTES = {
    "Const": "dtype",
    "HostConst": "dtype",
    "ParseTensor": "out_type",
    "DeserializeSparse": "dtype",
    "DeserializeManySparse": "dtype",
}
_HANDLES = frozenset({types_pb2.DT_RESOURCE, types_pb2.DT_VARIANT})


def _makes_handles(node: node_def_pb2.NodeDef) -> bool:
    attribute = _FROM_BYTES.get(node.op, "")
    # Asking a map of messages for what it does not have would add it.
    if attribute not in node.attr:
        return False
    dtype = node.attr[attribute]
    return dtype.WhichOneof("value") != "type" or dtype.type in _HANDLES
