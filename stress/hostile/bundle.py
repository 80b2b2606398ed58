"""The index of a checkpoint, entry by entry, so that changed ones pass as whole.

A flipped bit in the index fails its checksum, and the reader goes no further.
The file is a table of sorted keys (tensorflow/core/lib/io/table_format.txt):
the empty key has a BundleHeaderProto, each other a BundleEntryProto.
"""

from __future__ import annotations

import struct
from pathlib import Path

_MAGIC = 0xDB4775248B80FB57
_FOOTER = 48
_TRAILER = 5  # Kind of compression, checksum.


def read_index(file: Path) -> dict[bytes, bytes]:
    """Key -> serialized entry; of tables without compression."""
    content = file.read_bytes()
    footer = content[-_FOOTER:]
    _, position = _handle(footer, 0)
    (offset, size), _ = _handle(footer, position)
    entries: dict[bytes, bytes] = {}
    for handle in _block(content[offset : offset + size]).values():
        (start, length), _ = _handle(handle, 0)
        entries |= _block(content[start : start + length])
    return entries


def write_index(file: Path, entries: dict[bytes, bytes]) -> None:
    """The inverse, in one block, with checksums that are right."""
    written = b""

    def add(pairs: dict[bytes, bytes]) -> bytes:
        nonlocal written
        block = _to_block(pairs)
        handle = _varint(len(written)) + _varint(len(block))
        trailer = struct.pack("<BI", 0, _masked(_crc32c(block + b"\0")))
        written += block + trailer
        return handle

    data = add(dict(sorted(entries.items())))
    meta = add({})
    index = add({max(entries, default=b"") + b"\0": data})
    footer = (meta + index).ljust(_FOOTER - 8, b"\0") + struct.pack("<Q", _MAGIC)
    file.write_bytes(written + footer)


def _block(content: bytes) -> dict[bytes, bytes]:
    (restarts,) = struct.unpack("<I", content[-4:])
    end = len(content) - 4 * (restarts + 1)
    position, key, found = 0, b"", {}
    while position < end:
        shared, position = _read_varint(content, position)
        own, position = _read_varint(content, position)
        size, position = _read_varint(content, position)
        key = key[:shared] + content[position : position + own]
        found[key] = content[position + own : position + own + size]
        position += own + size
    return found


def _to_block(pairs: dict[bytes, bytes]) -> bytes:
    body = b"".join(
        _varint(0) + _varint(len(key)) + _varint(len(value)) + key + value
        for key, value in pairs.items()
    )
    return body + struct.pack("<II", 0, 1)


def _handle(content: bytes, position: int) -> tuple[tuple[int, int], int]:
    offset, position = _read_varint(content, position)
    size, position = _read_varint(content, position)
    return (offset, size), position


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _read_varint(content: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = content[position]
        position += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number, position


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_CRC_TABLE = [_crc_of(byte) for byte in range(256)]


def _crc32c(content: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in content:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
