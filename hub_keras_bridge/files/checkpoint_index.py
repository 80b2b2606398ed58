"""The index of a checkpoint, looked at before TensorFlow opens it.

TensorFlow takes what stands in an index for granted: an entry that is no
message, a shape that cannot be or a slice that is there twice ends the process.
In that ``table``, the empty key has a ``BundleHeaderProto``, each other a
``BundleEntryProto``.
"""

from __future__ import annotations

import math

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import tensor_bundle_pb2

from hub_keras_bridge.files.checkpoint_table import Damaged, read_entries

_MOST_DIMENSIONS = 254  # of a TensorFlow shape
_MOST_BYTES = 1 << 62


def check_index(prefix: str) -> None:
    """Checks a checkpoint's index against itself and the data files.

    Args:
        prefix: path of the checkpoint without ``.index``.

    Raises:
        Damaged: TensorFlow could not read it, or would not survive to say so.
        tf.errors.OpError: a file cannot be read.
    """
    # TensorFlow compares checksums itself.
    entries = dict(read_entries(_content(f"{prefix}.index"), checksums=False))
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
    # Each value takes a byte at least; TensorFlow makes room for all before it looks.
    values = math.prod(dims)
    if not entry.slices and entry.size < values:
        raise Damaged(f"entry {key!r} has {entry.size} bytes for {values} values")
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
