"""The index of a checkpoint, looked at before TensorFlow opens it.

TensorFlow takes what stands in an index for granted: an entry that is no
message, a shape that cannot be or a slice that is there twice ends the process.
The file is a table of sorted keys (tensorflow/core/lib/io/table_format.txt);
the empty key has a ``BundleHeaderProto``, each other a ``BundleEntryProto``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import tensor_bundle_pb2

from hub_keras_bridge.checkpoints.snappy import decompress

_MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
_FOOTER = 48
_MOST_DIMENSIONS = 254  # of a TensorFlow shape
_MOST_BYTES = 1 << 62
# A key that repeats most of the one before takes a few bytes in the file.
_MOST_BYTES_OF_KEYS = 1 << 28


class Damaged(ValueError):
    """An index that cannot be trusted; the message says why."""


def check_index(prefix: str) -> None:
    """Checks a checkpoint's index against itself and the data files.

    Args:
        prefix: path of the checkpoint without ``.index``.

    Raises:
        Damaged: TensorFlow could not read it, or would not survive to say so.
        tf.errors.OpError: a file cannot be read.
    """
    entries = dict(read_entries(_content(f"{prefix}.index")))
    header = tensor_bundle_pb2.BundleHeaderProto()
    _parse(header, entries.pop(b"", b""), "its header")
    lengths: dict[int, int] = {}
    for key, content in entries.items():
        entry = tensor_bundle_pb2.BundleEntryProto()
        _parse(entry, content, f"entry {key!r}")
        _check_entry(key, entry)
        if entry.size:
            shard = entry.shard_id
            if not 0 <= shard < header.num_shards:
                raise Damaged(f"entry {key!r} lies in file {shard} of {header.num_shards}")
            if shard not in lengths:
                lengths[shard] = _length(f"{prefix}.data-{shard:05}-of-{header.num_shards:05}")
            if entry.offset + entry.size > lengths[shard]:
                raise Damaged(
                    f"entry {key!r} ends at byte {entry.offset + entry.size} of its data file, "
                    f"which has {lengths[shard]}"
                )


def read_entries(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Pairs (key, serialized entry) of an index file's content.

    Raises:
        Damaged: it is no such table.
    """
    if len(table) < _FOOTER or not table.endswith(_MAGIC):
        raise Damaged("the file is cut short, or no index")
    footer = memoryview(table)[-_FOOTER:]
    _, position = _read_handle(footer, 0)
    index, _ = _read_handle(footer, position)
    before: bytes | None = None
    end = keys = 0
    for _, content in _block(table, index):
        handle, _ = _read_handle(memoryview(content), 0)
        if handle.offset < end:
            raise Damaged("a block lies where another one lies")
        end = handle.offset + handle.size
        for key, entry in _block(table, handle):
            if before is not None and key <= before:
                raise Damaged(f"key {key[:99]!r} stands behind {before[:99]!r}")
            before = key
            keys += len(key)
            if keys > _MOST_BYTES_OF_KEYS:
                raise Damaged(f"its keys have more than {_MOST_BYTES_OF_KEYS} bytes")
            yield key, entry


def _check_entry(key: bytes, entry: tensor_bundle_pb2.BundleEntryProto) -> None:
    dims = [dim.size for dim in entry.shape.dim]
    if (
        entry.shape.unknown_rank
        or len(dims) > _MOST_DIMENSIONS
        or min(dims, default=0) < 0
        or math.prod(size or 1 for size in dims) > _MOST_BYTES
    ):
        raise Damaged(f"entry {key!r} has the shape {dims[:9]}")
    try:
        tf.as_dtype(entry.dtype)
    except TypeError as error:
        raise Damaged(f"entry {key!r} has the dtype {entry.dtype}") from error
    if entry.offset < 0 or entry.size < 0:
        raise Damaged(f"entry {key!r} has {entry.size} bytes from byte {entry.offset} on")
    slices = [part.SerializeToString(deterministic=True) for part in entry.slices]
    if len(set(slices)) != len(slices):
        raise Damaged(f"entry {key!r} has a slice twice")
    for part in entry.slices:
        if len(part.extent) != len(dims):
            raise Damaged(f"entry {key!r} has a slice of {len(part.extent)} dimensions")
        for extent, size in zip(part.extent, dims, strict=True):
            length = extent.length if extent.HasField("length") else size
            if extent.start < 0 or length < 0 or extent.start + length > size:
                raise Damaged(
                    f"entry {key!r} has a slice from {extent.start} with length {length} in a "
                    f"dimension of {size}"
                )


@dataclass(frozen=True)
class _Handle:
    """Where a block of the table lies."""

    offset: int
    size: int


def _block(table: bytes, handle: _Handle) -> Iterator[tuple[bytes, bytes]]:
    """The pairs of one block; a key is told by what differs from the one before."""
    end = handle.offset + handle.size
    # After a block stands one byte for its compression, and its checksum.
    if handle.size < 4 or end + 5 > len(table):
        raise Damaged("a block lies outside the file")
    content = table[handle.offset : end]
    if table[end]:
        # TensorFlow knows one kind of compression, and writes none.
        try:
            content = decompress(content)
        except ValueError as error:
            raise Damaged(f"a block is damaged: {error}") from error
    block = memoryview(content)
    end = len(block) - 4 * (int.from_bytes(block[-4:], "little") + 1)
    position, key = 0, b""
    while position < end:
        shared, position = _read_varint(block, position)
        own, position = _read_varint(block, position)
        size, position = _read_varint(block, position)
        if shared > len(key) or position + own + size > end:
            raise Damaged("an entry lies outside its block")
        key = key[:shared] + bytes(block[position : position + own])
        yield key, bytes(block[position + own : position + own + size])
        position += own + size


def _read_handle(content: memoryview, position: int) -> tuple[_Handle, int]:
    offset, position = _read_varint(content, position)
    size, position = _read_varint(content, position)
    return _Handle(offset, size), position


def _read_varint(content: memoryview, position: int) -> tuple[int, int]:
    number = shift = 0
    for byte in content[position : position + 10]:
        position += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number, position
    raise Damaged("a number has no end")


def _parse(
    message: tensor_bundle_pb2.BundleHeaderProto | tensor_bundle_pb2.BundleEntryProto,
    content: bytes,
    what: str,
) -> None:
    try:
        message.ParseFromString(content)
    except DecodeError as error:
        raise Damaged(f"{what} is no {message.DESCRIPTOR.name} message") from error


def _content(file: str) -> bytes:
    # What is no regular file has no length either, and may never end.
    length = _length(file)
    with tf.io.gfile.GFile(file, "rb") as stream:
        return stream.read(length) if length else b""


def _length(file: str) -> int:
    return int(tf.io.gfile.stat(file).length)
