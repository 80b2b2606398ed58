"""The table of sorted keys that a checkpoint's index is, read without TensorFlow.

Its format is tensorflow/core/lib/io/table_format.txt, LevelDB's: blocks of pairs,
each with a checksum, then a block that says where they lie, and a footer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hub_keras_bridge.files.snappy import decompress

_MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
_FOOTER = 48
# A key takes over what it has in common with the one before, so that a small file
# could hold keys without end.
_MOST_BYTES_OF_KEYS = 1 << 26


class Damaged(ValueError):
    """An index that cannot be trusted; the message says why."""


def read_entries(table: bytes, *, checksums: bool = True) -> Iterator[tuple[bytes, bytes]]:
    """Pairs (key, serialized entry) of an index file's content.

    Args:
        table: the content.
        checksums: whether to compare those of the blocks, as TensorFlow does, too.

    Raises:
        Damaged: it is no such table.
    """
    if len(table) < _FOOTER or not table.endswith(_MAGIC):
        raise Damaged("the file is cut short, or no index")
    footer = memoryview(table)[-_FOOTER:]
    facts, position = _read_handle(footer, 0)
    index, _ = _read_handle(footer, position)
    for _ in _block(table, facts, checksums):  # Of the table as a whole: there are none.
        pass
    last, end, bytes_of_keys = None, 0, 0
    for _, content in _block(table, index, checksums):
        handle, _ = _read_handle(memoryview(content), 0)
        if handle.offset < end:
            raise Damaged("its blocks lie over each other")
        end = handle.offset + handle.size
        for key, value in _block(table, handle, checksums):
            bytes_of_keys += len(key)
            if bytes_of_keys > _MOST_BYTES_OF_KEYS:
                raise Damaged(f"its keys have more than {_MOST_BYTES_OF_KEYS} bytes")
            if last is not None and key <= last:
                raise Damaged(f"entry {key[:99]!r} comes after {last[:99]!r}")
            last = key
            yield key, value


@dataclass(frozen=True)
class _Handle:
    """Where a block of the table lies."""

    offset: int
    size: int


def _block(table: bytes, handle: _Handle, checksums: bool) -> Iterator[tuple[bytes, bytes]]:
    """The pairs of one block; a key is told by what differs from the one before."""
    end = handle.offset + handle.size
    # After a block stands one byte for its compression, and its checksum.
    if handle.size < 4 or end + 5 > len(table):
        raise Damaged("a block lies outside the file")
    content = table[handle.offset : end]
    if checksums and _checksum(table[handle.offset : end + 1]) != table[end + 1 : end + 5]:
        raise Damaged("a block has another checksum")
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


def _checksum(content: bytes) -> bytes:
    """The CRC-32C of a block and its byte for the compression, masked as in such tables."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    masked = (crc >> 15 | crc << 17) + 0xA282EAD8
    return (masked & 0xFFFFFFFF).to_bytes(4, "little")


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ 0x82F63B78 * (byte & 1)
    return byte


_CRC = [_crc_of(byte) for byte in range(256)]


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
