"""Snappy's block format, read: some checkpoints have their index in it, DM21's among them.

It is a length and then elements, each bytes to take over or a stretch of the
output so far to repeat (google/snappy, format_description.txt).
"""

from __future__ import annotations


def decompress(data: bytes, limit: int = 1 << 28) -> bytes:
    """What a block was made from.

    Args:
        data: the block.
        limit: the most bytes that may come out.

    Raises:
        ValueError: it is damaged, or says that it holds more than the limit.

    >>> decompress(bytes([9, (3 - 1) << 2]) + b"abc" + bytes([(6 - 1) << 2 | 2, 3, 0]))
    b'abcabcabc'
    """
    length, position = _length(data)
    if length > limit:
        raise ValueError(f"{length} bytes are more than the {limit} that are allowed")
    out = bytearray()
    while position < len(data):
        tag = data[position]
        position += 1
        kind, rest = tag & 3, tag >> 2
        if kind == 0:
            count = rest + 1
            if rest >= 60:
                width = rest - 59
                count = int.from_bytes(data[position : position + width], "little") + 1
                position += width
            out += data[position : position + count]
            position += count
        else:
            width = (1, 2, 4)[kind - 1]
            offset = int.from_bytes(data[position : position + width], "little")
            position += width
            count = rest + 1
            if kind == 1:
                count, offset = (rest & 7) + 4, offset | tag >> 5 << 8
            if not 0 < offset <= len(out):
                raise ValueError("it repeats what is not there")
            _repeat(out, offset, count)
        if len(out) > length or position > len(data):
            break
    if len(out) != length or position != len(data):
        raise ValueError(f"it has {len(out)} bytes and not {length}")
    return bytes(out)


def _repeat(out: bytearray, offset: int, count: int) -> None:
    # The stretch may reach into what it adds itself.
    stretch = out[-offset:] if offset >= count else out[-offset:] * (count // offset + 1)
    out += stretch[:count]


def _length(data: bytes) -> tuple[int, int]:
    number = 0
    for position, byte in enumerate(data[:5]):
        number |= (byte & 0x7F) << 7 * position
        if byte < 0x80:
            return number, position + 1
    raise ValueError("its length has no end")
