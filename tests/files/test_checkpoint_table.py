"""The table that a checkpoint's index is: what is no sound one is told, in little time."""

import time

import pytest

from helpers.places import ZOO
from hub_keras_bridge.files import checkpoint_table
from hub_keras_bridge.files.checkpoint_table import Damaged, read_entries

INDEX = (ZOO / "text_embed" / "module" / "variables" / "variables.index").read_bytes()


def varint(number):
    content = b""
    while number > 127:
        content += bytes([number & 127 | 128])
        number >>= 7
    return content + bytes([number])


def block(pairs):
    """One block, its checksum and compression behind it; pairs have (shared, own, value)."""
    content = b"".join(
        varint(shared) + varint(len(own)) + varint(len(value)) + own + value
        for shared, own, value in pairs
    )
    content += bytes(4) + (1).to_bytes(4, "little") + b"\0"
    return content + checkpoint_table._checksum(content)


def table_of(blocks, handles=None):
    """A whole table of blocks, which lie one behind the other if nobody says otherwise."""
    content, found = b"", []
    for each in blocks:
        found.append((len(content), len(each) - 5))
        content += each
    facts = (len(content), len(block([])) - 5)
    content += block([])
    keys = [
        (0, number.to_bytes(4, "big"), varint(offset) + varint(size))
        for number, (offset, size) in enumerate(handles or found)
    ]
    index = (len(content), len(block(keys)) - 5)
    content += block(keys)
    footer = b"".join(map(varint, facts + index))
    return content + footer + bytes(40 - len(footer)) + checkpoint_table._MAGIC


def test_checksum_is_the_one_of_such_tables():
    """The known value of CRC-32C (RFC 3720, B.4) of 32 zeros, masked."""
    crc = 0x8A9136AA
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert checkpoint_table._checksum(bytes(32)) == masked.to_bytes(4, "little")


def test_entries():
    content = table_of([block([(0, b"", b"1"), (0, b"ab", b"2")]), block([(0, b"abc", b"3")])])
    assert list(read_entries(content)) == [(b"", b"1"), (b"ab", b"2"), (b"abc", b"3")]
    # Its two slices stand under keys of their own.
    keys = [key for key, _ in read_entries(INDEX)]
    assert [key for key in keys if key[:1] != b"\0"] == [b"", b"emb/embeddings"]


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([(0, b"b", b""), (0, b"a", b"")], "entry b'a' comes after b'b'"),
        ([(0, b"a", b""), (0, b"a", b"")], "entry b'a' comes after b'a'"),
        ([(1, b"a", b"")], "outside its block"),
    ],
)
def test_keys(pairs, message):
    with pytest.raises(Damaged, match=message):
        list(read_entries(table_of([block(pairs)])))


def test_checksums_are_compared_unless_told_otherwise():
    content = bytearray(table_of([block([(0, b"a", b"value")])]))
    content[content.index(b"value")] ^= 1
    with pytest.raises(Damaged, match="another checksum"):
        list(read_entries(bytes(content)))
    assert dict(read_entries(bytes(content), checksums=False)) == {b"a": b"walue"}


def test_blocks_that_lie_over_each_other():
    """Else a file of n bytes could take n * n steps."""
    one = block([(0, b"a", bytes(10))])
    with pytest.raises(Damaged, match="its blocks lie over each other"):
        list(read_entries(table_of([one], handles=[(0, len(one) - 5)] * 2)))


def test_keys_that_grow_without_end():
    """Each takes over the long one before it: 1 MB would become 16 GB."""
    pairs = [(0, bytes(2**17), b""), *((2**17 + n, b"x", b"") for n in range(2**17))]
    content = table_of([block(pairs)])
    begin = time.monotonic()
    with pytest.raises(Damaged, match="its keys have more than 67108864 bytes"):
        list(read_entries(content, checksums=False))
    assert time.monotonic() - begin < 5
