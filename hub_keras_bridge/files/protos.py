"""Protobuf messages defined at run time.

Generated code is tied to a protobuf major version; descriptors built at run
time are not. All messages get this package's own proto package name, so that
neither ``tensorflow_hub`` nor TensorFlow in the same process can clash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "hub_keras_bridge"
_PROTO = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "int32": _PROTO.TYPE_INT32,
    "int64": _PROTO.TYPE_INT64,
    "string": _PROTO.TYPE_STRING,
    "bytes": _PROTO.TYPE_BYTES,
}


class Field(NamedTuple):
    """One field of a message.

    Attributes:
        name: its name; only the number is on the wire.
        number: its number.
        kind: ``"int32"``, ``"int64"``, ``"string"``, ``"bytes"`` or the name of
            a message defined with it.
        repeated: whether it holds a list.
    """

    name: str
    number: int
    kind: str
    repeated: bool = False


def define(
    file_name: str, messages: Mapping[str, Sequence[Field]], syntax: str = "proto3"
) -> dict[str, Any]:
    """Message name -> class, in a descriptor pool of their own.

    Args:
        file_name: the .proto file that they would stand in.
        messages: the fields of each; ``"Outer.Inner"`` is nested in ``"Outer"``, which
            comes before it.
        syntax: ``"proto2"`` tells a field that is absent from one that is empty.

    >>> point = define("point.proto", {"Point": [Field("x", 1, "int32")]})["Point"]
    >>> point(x=3).SerializeToString()
    b'\\x08\\x03'
    """
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{_PACKAGE}/{file_name}", package=_PACKAGE, syntax=syntax
    )
    made: dict[str, descriptor_pb2.DescriptorProto] = {}
    for name, fields in messages.items():
        outer, _, own = name.rpartition(".")
        siblings = made[outer].nested_type if outer else file.message_type
        message = made[name] = siblings.add(name=own)
        for field in fields:
            described = message.field.add(
                name=field.name,
                number=field.number,
                label=_PROTO.LABEL_REPEATED if field.repeated else _PROTO.LABEL_OPTIONAL,
            )
            if field.kind in _SCALARS:
                described.type = _SCALARS[field.kind]
            else:
                described.type = _PROTO.TYPE_MESSAGE
                described.type_name = f".{_PACKAGE}.{field.kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in messages
    }
