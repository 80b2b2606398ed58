"""Hostile archives take time that grows as their length does, or are refused early.

The bounds on seconds are generous: what is quadratic, or worse, takes minutes here.
"""

import gzip
import io
import tarfile
import time

import pytest

import hub_keras_bridge as hub
from hub_keras_bridge.errors import Subject
from hub_keras_bridge.files.archive import names, unpack
from hub_keras_bridge.files.archive.stream import Source

MANY = 100_000
SECONDS = 20


class Dripping:
    """A stream that gives one byte at a time, and counts."""

    def __init__(self, data):
        self._stream = io.BytesIO(data)
        self.reads = 0

    def read(self, size):
        self.reads += 1
        return self._stream.read(min(size, 1))


def member(name, kind=tarfile.REGTYPE, content=b""):
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(content)
    return info.tobuf() + content + bytes(-len(content) % 512)


def record(key, value):
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + len(str(len(rest)))
    return str(len(rest) + len(str(length))).encode() + rest


def pax(*records, kind=tarfile.XHDTYPE):
    return member("p", kind, b"".join(records))


END = bytes(1024)
FILE = member("f", content=b"1") + END


def with_header_field(data, flag, field):
    """A gzip file with a name (flag 8) or a comment (flag 16) in its header."""
    packed = gzip.compress(data, mtime=0)
    return packed[:3] + bytes([flag]) + packed[4:10] + field + packed[10:]


def outcome(stream, tmp_path):
    """What is said of an archive, or its files."""
    stream = io.BytesIO(stream) if isinstance(stream, bytes) else stream
    begin = time.process_time()
    try:
        unpack(stream, str(tmp_path), subject=Subject("m"))
        said = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    except hub.ArchiveError as error:
        said = error.found
    assert time.process_time() - begin < SECONDS
    return said


@pytest.mark.parametrize("flag", [8, 16])
def test_names_and_comments_of_gzip(flag, tmp_path):
    packed = with_header_field(FILE, flag, b"c" * 10**7 + b"\0")
    assert outcome(packed, tmp_path) == ["f"]


@pytest.mark.parametrize("flag", [8, 16])
def test_names_and_comments_that_do_not_end(flag, tmp_path):
    packed = gzip.compress(FILE)[:3] + bytes([flag]) + bytes(6) + b"c" * 10**7
    assert outcome(packed, tmp_path) == "a gzip file that is cut short"


@pytest.mark.parametrize("content", [b"", b"x"])
def test_many_members_of_gzip(content, tmp_path):
    packed = gzip.compress(content) * MANY
    kind = "an empty file" if not content else "a file that begins with b'xxxxxxxxxxxxxxxx'"
    assert outcome(packed, tmp_path) == f"a gzip file that holds {kind}"


def test_file_in_many_members_of_gzip(tmp_path):
    """Each gives one byte, where a megabyte is asked for."""
    tar = member("f", content=b"x" * MANY) + END
    packed = b"".join(gzip.compress(tar[i : i + 1], 1, mtime=0) for i in range(len(tar)))
    assert outcome(packed, tmp_path) == ["f"]
    assert (tmp_path / "f").read_bytes() == b"x" * MANY


def test_members_of_gzip_with_zeros_between_and_after(tmp_path):
    parts = [gzip.compress(FILE[:700]), gzip.compress(FILE[700:])]
    packed = (bytes(MANY)).join([*parts, b""])
    assert outcome(packed, tmp_path) == ["f"]


def test_bytes_that_come_one_by_one(tmp_path):
    content = b"x" * 10**6
    stream = Dripping(member("f", content=content) + END)
    assert outcome(stream, tmp_path) == ["f"]
    assert stream.reads < 10**6 + 10_000


def test_a_source_copies_each_byte_once():
    stream = Dripping(b"x" * 10**6)
    source = Source(stream.read)
    begin = time.process_time()
    assert len(source.peek(10**6)) == 10**6
    assert time.process_time() - begin < SECONDS
    assert stream.reads == 10**6


@pytest.mark.parametrize("comments", [1, 10, 20, 70])
def test_comments_of_html(comments, tmp_path):
    """Found by a regular expression, 20 of them took seconds and 70 would take for ever."""
    page = b"<!---->" * comments
    assert outcome(page + b"<x", tmp_path).startswith("a file that begins with b'<!---->")
    assert outcome(page + b" <!doctype html>", tmp_path) == "an HTML page"


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"\xef\xbb\xbf <!-- a --> <!-- b --><HTML>", "an HTML page"),
        (b"<!-- never ends <html>", "a file that begins with b'<!-- never ends '"),
        (b"<!-- a --><?xml", "an XML document"),
        (b" " * MANY, f"a file that begins with {b' ' * 16!r}"),
        (b"[" + b" " * MANY, f"a file that begins with {b'[' + b' ' * 15!r}"),
        (b' {\n "a": 1}', "a JSON document"),
    ],
)
def test_what_a_file_looks_like(data, found, tmp_path):
    assert outcome(data, tmp_path) == found


class TestExtendedHeaders:
    @pytest.mark.parametrize("count", [1, 10])
    def test_some(self, count, tmp_path):
        headers = b"".join(pax(record(b"k%d" % i, b"v")) for i in range(count))
        assert outcome(headers + FILE, tmp_path) == ["f"]

    @pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE])
    @pytest.mark.parametrize("count", [11, MANY])
    def test_many(self, kind, count, tmp_path):
        different = [pax(record(b"k%d" % i, b"v"), kind=kind) for i in range(11)]
        headers = b"".join(different) + different[0] * (count - 11)
        stream = io.BytesIO(headers + FILE)
        assert outcome(stream, tmp_path) == "more"
        # What comes behind is not read.
        assert stream.tell() < 20_000

    def test_of_each_member(self, tmp_path):
        members = [pax(record(b"path", b"%d" % i)) + member("x") for i in range(20)]
        assert len(outcome(b"".join(members) + END, tmp_path)) == 20

    @pytest.mark.parametrize(
        ("records", "found"),
        [
            ([record(b"comment", b"c" * 60_000)], ["f"]),
            ([record(b"comment", b"c" * MANY)], f"an extended header of {MANY + 16} bytes"),
            ([record(b"%d" % i, b"") for i in range(6000)], ["f"]),
        ],
        ids=["long", "longer", "many"],
    )
    def test_records(self, records, found, tmp_path):
        assert outcome(pax(*records) + FILE, tmp_path) == found


class TestNames:
    @pytest.mark.parametrize("depth", [2, 100])
    def test_deep(self, depth, tmp_path):
        name = b"d/" * depth + b"f"
        assert outcome(pax(record(b"path", name)) + member("x") + END, tmp_path) == ["f"]

    @pytest.mark.parametrize("depth", [101, 500, 20_000])
    def test_deeper(self, depth, tmp_path):
        name = b"d/" * depth + b"f"
        said = outcome(pax(record(b"path", name)) + member("x") + END, tmp_path)
        assert said.endswith(
            "it is longer than 1024 bytes" if depth > 512 else "it is more than 100 folders deep"
        )
        assert len(said) < 200

    @pytest.mark.parametrize("piece", ["a", "/", "a/", "../", "./", "\\", "\0", ":", "\udc80"])
    def test_time_of_a_look(self, piece):
        begin = time.process_time()
        names.flaw(piece * MANY)
        names.show(piece * MANY)
        assert time.process_time() - begin < 1
