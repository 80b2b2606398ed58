"""Archives: hostile and damaged ones leave nothing; packed ones have the same bytes."""

import bz2
import errno
import gzip
import hashlib
import io
import lzma
import os
import shutil
import socket
import stat
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile

import pytest

from hub_keras_bridge.errors import ArchiveError, ExportError, HubError, Subject
from hub_keras_bridge.files import archive
from hub_keras_bridge.files.archive import unpacking

SUBJECT = Subject("https://example.org/embed")

MODULE = {
    "tfhub_module.pb": b"\x08\x03",
    "saved_model.pb": b"graph" * 300,
    "variables/variables.index": b"",
    "variables/variables.data-00000-of-00001": bytes(range(256)) * 1000,
    "assets/vocab.txt": b"a\nb\n",
}


def member(name, data=b"", **properties):
    """A header and its content; a member is a file unless ``type`` says otherwise."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in properties.items():
        setattr(info, key, value)
    return info, data


def tar_of(*members, format=tarfile.PAX_FORMAT):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def module_tar(**options):
    return tar_of(*(member(name, data) for name, data in MODULE.items()), **options)


def pax(records, **options):
    """An extended header on its own, as it stands before a member."""
    block = b"".join(records)
    padded = block + bytes(-len(block) % 512)
    info = member("pax", block, **{"type": tarfile.XHDTYPE, **options})[0]
    return info.tobuf(tarfile.USTAR_FORMAT) + padded


def raw(name, data=b"", **properties):
    """The blocks of one member, without the end of a tar file."""
    info, data = member(name, data, **properties)
    return info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512)


END = bytes(1024)


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def target(tmp_path):
    """An empty folder that is not alone: what is beside it must stay as it is."""
    (tmp_path / "beside.txt").write_text("untouched")
    target = tmp_path / "target"
    target.mkdir()
    yield target
    assert sorted(os.listdir(tmp_path)) == ["beside.txt", "target"]
    assert (tmp_path / "beside.txt").read_text() == "untouched"


def unpack(data, target, **options):
    stream = io.BytesIO(data) if isinstance(data, bytes) else data
    archive.unpack(stream, str(target), subject=SUBJECT, **options)


def refused(data, target, **options):
    """The message of the refusal, after which nothing is left."""
    with pytest.raises(ArchiveError) as caught:
        unpack(data, target, **options)
    assert os.listdir(target) == []
    assert caught.value.subject == SUBJECT
    assert str(caught.value).startswith("Cannot unpack the archive of a TF1 Hub module.\n")
    return str(caught.value)


class Dribble:
    """A stream like a socket's: it has nothing but ``read``, which gives a little at a time."""

    def __init__(self, data):
        self._file = io.BytesIO(data)

    def read(self, size):
        return self._file.read(min(size, 1000))


class TestUnpack:
    @pytest.mark.parametrize(
        "format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
    )
    @pytest.mark.parametrize("wrap", [bytes, gzip.compress])
    @pytest.mark.parametrize("stream", [io.BytesIO, Dribble])
    def test_tar_and_gzip(self, target, format, wrap, stream):
        unpack(stream(wrap(module_tar(format=format))), target)
        assert contents(target) == MODULE

    @pytest.mark.parametrize("options", [["-cf"], ["-czf"], ["--format=posix", "-cf"]])
    def test_what_the_tar_program_makes(self, target, options, tmp_path_factory):
        """With its ``./`` before names, and long names, in its own ways."""
        source = tmp_path_factory.mktemp("source")
        files = {**MODULE, f"assets/{'lång' * 40}/{'x' * 150}.txt": b"long"}
        for name, data in files.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(data)
        file = tmp_path_factory.mktemp("packed") / "m.tar"
        subprocess.run(["tar", "-C", str(source), *options, str(file), "."], check=True)
        unpack(file.read_bytes(), target)
        assert contents(target) == files

    @pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
    def test_long_names(self, target, format):
        name = "assets/" + "y" * 200 + "/" + "z" * 250
        unpack(tar_of(member(name, b"1"), format=format), target)
        assert contents(target) == {name: b"1"}

    def test_folder_after_its_content(self, target):
        data = tar_of(member("assets/a", b"1"), member("./assets/", type=tarfile.DIRTYPE))
        unpack(data, target)
        assert contents(target) == {"assets/a": b"1"}

    def test_size_in_an_extended_header(self, target):
        """As where a file is longer than the field in the plain header can say."""
        info, data = member("a", b"12345")
        block = info.tobuf(tarfile.USTAR_FORMAT).replace(b"00000000005", b"00000000000")
        checksum = 256 + sum(block[:148]) + sum(block[156:])
        block = block[:148] + b"%06o\0 " % checksum + block[156:]
        unpack(pax([b"10 size=5\n"]) + block + data + bytes(507) + END, target)
        assert contents(target) == {"a": b"12345"}

    def test_global_comment(self, target):
        comment = pax([b"15 comment=abc\n"], type=tarfile.XGLTYPE)
        unpack(comment + raw("a", b"1") + END, target)
        assert contents(target) == {"a": b"1"}

    def test_several_gzip_members_and_padding(self, target):
        data = module_tar()
        unpack(gzip.compress(data[:1000]) + gzip.compress(data[1000:]) + bytes(512), target)
        assert contents(target) == MODULE

    def test_permissions_are_those_of_new_files(self, target):
        data = tar_of(
            member("assets", type=tarfile.DIRTYPE, mode=0o7000),
            member("assets/a", b"1", mode=0o6777, uid=12345, gid=12345),
        )
        unpack(data, target)
        (target / "plain").mkdir()
        (target / "plain" / "file").write_text("")
        for made, plain in [("assets", "plain"), ("assets/a", "plain/file")]:
            found, expected = ((target / name).stat() for name in (made, plain))
            assert stat.S_IMODE(found.st_mode) == stat.S_IMODE(expected.st_mode)
            assert (found.st_uid, found.st_gid) == (expected.st_uid, expected.st_gid)

    def test_module_published_by_others(self, target):
        """It has an empty ``assets/``, and sticky bits."""
        data = tar_of(
            *(member(f"{name}/", type=tarfile.DIRTYPE, mode=0o1755) for name in ("assets", "var")),
            member("tfhub_module.pb", b"\x08\x03"),
            format=tarfile.GNU_FORMAT,
        )
        unpack(data, target)
        assert sorted(os.listdir(target)) == ["assets", "tfhub_module.pb", "var"]


GOOD = member("assets/good.txt", b"good")
LINK = {"type": tarfile.SYMTYPE, "linkname": ".."}

HOSTILE = {
    "upwards": ([member("../evil", b"x")], "'../evil': it leads upwards"),
    "upwards inside": ([member("assets/../../evil", b"x")], "it leads upwards"),
    "upwards to itself": ([member("a/..", type=tarfile.DIRTYPE)], "'a/..': it leads upwards"),
    "absolute": ([member("/tmp/evil", b"x")], "'/tmp/evil': it is absolute"),
    "absolute, twice": ([member("//host/evil", b"x")], "'//host/evil': it is absolute"),
    "drive": ([member("C:/evil", b"x")], "'C:/evil': it names a drive"),
    "drive, relative": ([member("c:evil", b"x")], "'c:evil': it names a drive"),
    "backslash": ([member("..\\evil", b"x")], r"'..\\evil': it has a backslash"),
    "symbolic link": ([member("a", **LINK)], "'a', a symbolic link"),
    "through a link": (
        [member("a", **LINK), member("a/evil", b"x")],
        "'a', a symbolic link",
    ),
    "hard link": (
        [member("a", type=tarfile.LNKTYPE, linkname="assets/good.txt")],
        "'a', a hard link",
    ),
    "link with a long aim": (
        [member("a", type=tarfile.SYMTYPE, linkname="b/" * 100)],
        "'././@LongLink', a link",
    ),
    "device": ([member("a", type=tarfile.CHRTYPE, devmajor=1, devminor=5)], "'a', a device"),
    "disk": ([member("a", type=tarfile.BLKTYPE)], "'a', a device"),
    "pipe": ([member("a", type=tarfile.FIFOTYPE)], "'a', a named pipe"),
    "unknown type": ([member("a", type=b"Z")], "'a', a member of unknown type b'Z'"),
    "twice": ([member("a", b"1"), member("a", b"2")], "'a' twice"),
    "twice, otherwise spelt": ([member("a", b"1"), member(".//a", b"2")], "'a' twice"),
    "folder twice": ([member("a/", type=tarfile.DIRTYPE)] * 2, "'a' twice"),
    "file, then folder": (
        [member("a", b"1"), member("a/b", b"2")],
        "'a' where there is something of that name",
    ),
    "folder, then file": (
        [member("a/b", b"2"), member("a", b"1")],
        "'a' where there is something of that name",
    ),
    "file as root": ([member("./", b"x", type=tarfile.REGTYPE)], "it is no name of a file"),
    "file named as a folder": ([member("a/.", b"x")], "it is no name of a file"),
    "newline": ([member("a\nb", b"x")], r"'a\nb': it has control characters"),
    "escape": ([member("a\x1b[2Jb", b"x")], r"'a\x1b[2Jb': it has control characters"),
    "not UTF-8": ([member("a\udcffb", b"x")], r"'a\udcffb': it is not UTF-8"),
    "long name": ([member("a/" * 600 + "b", b"x")], "it is longer than 1024 bytes"),
    "too long for the disk": ([member("a" * 300, b"x")], "File name too long"),
}


@pytest.mark.parametrize("wrap", [bytes, gzip.compress])
@pytest.mark.parametrize(("members", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_hostile(members, reason, wrap, target):
    data = tar_of(GOOD, *members, format=tarfile.GNU_FORMAT)
    assert reason in refused(wrap(data), target)


LONG_NAME = raw("././@LongLink", b"../evil\0", type=tarfile.GNUTYPE_LONGNAME)

HOSTILE_HEADERS = {
    "name in an extended header": (
        pax([b"16 path=../evil\n"]) + raw("a", b"x"),
        "'../evil': it leads upwards",
    ),
    "NUL in a name": (pax([b"14 path=a\0b/c\n"]) + raw("a", b"x"), "it has control characters"),
    "long name": (LONG_NAME + raw("a", b"x"), "'../evil': it leads upwards"),
    "two names": (
        pax([b"10 path=b\n"]) + LONG_NAME + raw("a", b"x"),
        "a member with two values of 'path'",
    ),
    "two names in one header": (
        pax([b"10 path=b\n", b"10 path=c\n"]) + raw("a", b"x"),
        "a damaged extended header",
    ),
    "one name for all": (
        pax([b"10 path=b\n"], type=tarfile.XGLTYPE) + raw("a", b"x"),
        "one name or size for all members",
    ),
    "name of a link": (
        pax([b"10 path=b\n"]) + raw("a", type=tarfile.SYMTYPE, linkname="/"),
        "'b', a symbolic link",
    ),
    "sparse file in an extended header": (
        pax([b"22 GNU.sparse.major=1\n"]) + raw("a", b"x"),
        "a sparse file",
    ),
    "sparse file": (raw("a", b"x", type=tarfile.GNUTYPE_SPARSE), "'a', a sparse file"),
    "negative size": (raw("a", size=-512), "'a' of -512 bytes"),
    "negative size, extended": (pax([b"11 size=-5\n"]) + raw("a"), "a file of '-5' bytes"),
    "huge size": (raw("a", size=2**60), "at most 17179869184 bytes when unpacked"),
    "folder with content": (
        raw("a/", b"x", type=tarfile.DIRTYPE),
        "'a', a folder with content",
    ),
    "record beyond its header": (pax([b"99 path=b\n"]) + raw("a"), "a damaged extended header"),
    "record without length": (pax([b"path=b\n"]) + raw("a"), "a damaged extended header"),
    "record shorter than its length": (pax([b"1 path=b\n"]) + raw("a"), "a damaged extended"),
    "header for nothing": (pax([b"10 path=b\n"]), "a tar file that ends with half a member"),
    "huge extended header": (
        member("pax", type=tarfile.XHDTYPE, size=2**30)[0].tobuf(),
        "an extended header of 1073741824 bytes",
    ),
}


@pytest.mark.parametrize(("blocks", "reason"), HOSTILE_HEADERS.values(), ids=HOSTILE_HEADERS)
def test_hostile_headers(blocks, reason, target):
    assert reason in refused(raw("assets/good.txt", b"good") + blocks + END, target)


def zip_of(name):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zip_:
        zip_.writestr(name, b"x" * 1000)
    return file.getvalue()


GZ = gzip.compress(module_tar())

DAMAGED = {
    "empty": (b"", "Found: an empty file", "fetch it again"),
    "page": (b"\n<!DOCTYPE html>\n<title>", "Found: an HTML page", "asks to sign in"),
    "page with comment": (b"<!-- x --><HTML>", "Found: an HTML page", "check the handle"),
    "XML": (b'<?xml version="1.0"?><Error>', "Found: an XML document", "check the handle"),
    "JSON": (b'{"error": 404}', "Found: a JSON document", "check the handle"),
    "LFS": (b"version https://git-lfs.x/v1\n", "Found: a Git LFS pointer", "git lfs pull"),
    "zip": (zip_of("saved_model.pb"), "Found: a zip archive", "pass the folder"),
    "bzip2": (bz2.compress(module_tar()), "Found: a bzip2 file", "as a tar.gz file"),
    "xz": (lzma.compress(module_tar()), "Found: an xz file", "as a tar.gz file"),
    "no archive": (b"\x08\x03", r"begins with b'\x08\x03'", "check the handle"),
    "gzip of a page": (gzip.compress(b"<html>"), "a gzip file that holds an HTML page", "check"),
    "gzip of gzip": (gzip.compress(GZ), "a gzip file that holds another gzip", "unpack it"),
    "gzip of nothing": (gzip.compress(b""), "a gzip file that holds an empty file", "again"),
    "start of gzip": (GZ[:2], "a gzip file that is cut short", "sha256"),
    "cut gzip": (GZ[:-1], "a gzip file that is cut short", "sha256"),
    "cut gzip, early": (GZ[:500], "a gzip file that is cut short", "sha256"),
    "gzip and more": (GZ + b"more", "followed by something else", "sha256"),
    "gzip and a page": (GZ + b"<html>", "followed by something else", "sha256"),
    "checksum": (GZ[:-8] + b"1234" + GZ[-4:], "incorrect data check", "sha256"),
    "length": (GZ[:-4] + b"long", "incorrect length", "sha256"),
    # A block of a type that there is none of.
    "other bits": (GZ[:10] + b"\x07" + GZ[11:], "a gzip file that is damaged", "sha256"),
    "cut tar": (module_tar()[:5000], "cut short in 'variables/variables.data", "sha256"),
    "cut at a header": (raw("a", b"1"), "a tar file that is cut short", "sha256"),
    "cut in a header": (raw("a", b"1") + raw("b")[:100], "tar file that is cut short", "sha256"),
    "damaged header": (
        raw("a", b"1") + raw("b").replace(b"ustar", b"Ustar") + raw("c") + END,
        "a damaged header in the tar file: bad checksum",
        "sha256",
    ),
    "no member": (END, "an archive with no file in it", "fetch it again"),
    "folders alone": (raw("a/", type=tarfile.DIRTYPE) + END, "with no file in it", "again"),
    "more after the end": (module_tar() + raw("a") + END, "goes on after its end", "trust"),
}


@pytest.mark.parametrize(("data", "found", "advice"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_or_no_archive(data, found, advice, target):
    message = refused(data, target)
    assert found in message
    assert advice in message.splitlines()[-1]
    assert "In: module 'https://example.org/embed'" in message


class TestLimit:
    def test_bomb(self, target):
        """A thousandth of what it unpacks to; refused by its header, before a byte is written."""
        bomb = gzip.compress(tar_of(GOOD, member("a", bytes(2**24))))
        assert len(bomb) < 2**15
        message = refused(bomb, target, max_bytes=2**23)
        assert "Expected: at most 8388608 bytes when unpacked" in message
        assert "environment variable HUB_KERAS_BRIDGE_MAX_UNPACKED_BYTES" in message

    def test_bomb_after_the_end(self, target):
        bomb = gzip.compress(tar_of(GOOD) + bytes(2**24))
        assert "at most 8388608 bytes" in refused(bomb, target, max_bytes=2**23)

    def test_bomb_of_small_files(self, target):
        bomb = tar_of(*(member(f"a{i}", bytes(500)) for i in range(100)))
        assert "at most 50000 bytes" in refused(bomb, target, max_bytes=50_000)

    def test_to_the_byte(self, target):
        data = module_tar()
        assert "at most" in refused(gzip.compress(data), target, max_bytes=len(data) - 1)
        unpack(gzip.compress(data), target, max_bytes=len(data))
        assert contents(target) == MODULE

    def test_memory_is_bounded(self, target):
        bomb = gzip.compress(tar_of(member("a", bytes(2**25))))
        tracemalloc.start()
        try:
            unpack(bomb, target)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert (target / "a").stat().st_size == 2**25
        assert peak < 2**23

    def test_environment_variable_is_read_when_called(self, target, monkeypatch):
        monkeypatch.setenv("HUB_KERAS_BRIDGE_MAX_UNPACKED_BYTES", "2000")
        assert "at most 2000 bytes" in refused(module_tar(), target)
        monkeypatch.setenv("HUB_KERAS_BRIDGE_MAX_UNPACKED_BYTES", "1000000")
        unpack(module_tar(), target)
        assert contents(target) == MODULE

    @pytest.mark.parametrize("text", ["", "16GiB", "-1", "1e9"])
    def test_environment_variable_that_is_no_number(self, text, target, monkeypatch):
        monkeypatch.setenv("HUB_KERAS_BRIDGE_MAX_UNPACKED_BYTES", text)
        message = refused(module_tar(), target)
        assert f"Found: HUB_KERAS_BRIDGE_MAX_UNPACKED_BYTES={text!r}" in message
        assert "Expected: a whole number of bytes" in message

    @pytest.mark.parametrize("deep", [False, True])
    def test_number_of_entries(self, deep, target, monkeypatch):
        monkeypatch.setattr(unpacking, "_MAX_ENTRIES", 50)
        names = ["a/" * 49 + "b"] if deep else [f"a{i}" for i in range(50)]
        data = tar_of(*(member(name) for name in names))
        assert "at most 50 files and folders" in refused(data, target)


class TestFailures:
    def test_folder_that_is_not_empty_is_left_alone(self, target):
        (target / "mine").write_text("1")
        with pytest.raises(ArchiveError, match="Found: 'mine' in "):
            unpack(module_tar(), target)
        assert contents(target) == {"mine": b"1"}

    def test_folder_that_is_not_there(self, target):
        with pytest.raises(ArchiveError, match="No such file"):
            unpack(module_tar(), target / "no")

    @pytest.mark.parametrize("failure", [ConnectionResetError("gone"), KeyboardInterrupt()])
    @pytest.mark.parametrize("wrap", [bytes, gzip.compress])
    def test_failure_of_the_stream_is_passed_on(self, failure, wrap, target):
        class Broken(Dribble):
            def read(self, size):
                if not contents(target):
                    return super().read(size)
                raise failure

        data = wrap(tar_of(GOOD, member("a", os.urandom(10_000))))
        with pytest.raises(type(failure)) as caught:
            unpack(Broken(data), target)
        assert caught.value is failure
        assert os.listdir(target) == []

    def test_name_that_the_file_system_takes_for_another(self, target):
        """Here someone else makes the file; on macOS ``Vocab`` would be ``vocab``."""

        class Meanwhile(Dribble):
            def read(self, size):
                if (target / "a").exists() and not (target / "b").exists():
                    (target / "b").symlink_to(target.parent / "beside.txt")
                return super().read(size)

        data = tar_of(member("a", bytes(5000)), member("b", b"evil"))
        assert "names that this file system tells apart" in refused(Meanwhile(data), target)

    def test_no_space(self, target, tmp_path_factory):
        file = tmp_path_factory.mktemp("packed") / "m.tar"
        file.write_bytes(module_tar())
        script = f"""
import resource, signal
from hub_keras_bridge.files import archive
from hub_keras_bridge.errors import Subject
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
archive.unpack(open({str(file)!r}, "rb"), {str(target)!r}, subject=Subject("m"))
"""
        done = run_without_tensorflow(script)
        assert done.returncode == 1
        assert "errors.ArchiveError: Cannot unpack the archive" in done.stderr
        assert os.strerror(errno.EFBIG) in done.stderr
        assert "check permissions and free space; nothing was left behind" in done.stderr
        assert os.listdir(target) == []

    def test_caught_as(self):
        for builtin in (HubError, ValueError, OSError):
            assert issubclass(ArchiveError, builtin)


def run_without_tensorflow(script):
    """Runs as the command line does, where importing TensorFlow would fail."""
    prelude = "import sys, hub_keras_bridge_cli\nsys.modules['tensorflow'] = None\n"
    return subprocess.run([sys.executable, "-c", prelude + script], capture_output=True, text=True)


@pytest.fixture
def module(tmp_path):
    folder = tmp_path / "module"
    for name, data in MODULE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def packed(folder, file):
    archive.pack(str(folder), str(file))
    return file.read_bytes()


def cannot_pack(folder, file):
    before = sorted(os.listdir(file.parent))
    with pytest.raises(ExportError) as caught:
        archive.pack(str(folder), str(file))
    assert sorted(os.listdir(file.parent)) == before
    assert f"In: module {str(folder)!r}" in str(caught.value)
    return str(caught.value)


class TestPack:
    def test_bytes(self, module, tmp_path):
        """The same with every release of Python and zlib; if not, sha256 pins break."""
        digest = hashlib.sha256(packed(module, tmp_path / "m.tar.gz")).hexdigest()
        assert digest == "4eb213f4e476f5d84cd3ed011d5f13aa8a287c85a2a2d20280cd84fbe7b15946"

    def test_members(self, module, tmp_path):
        data = packed(module, tmp_path / "m.tar.gz")
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            assert tar.getnames() == sorted([*MODULE, "assets", "variables"])
            for info in tar:
                assert info.mode == (0o755 if info.isdir() else 0o644)
                assert (info.mtime, info.uid, info.gid) == (0, 0, 0)
                assert (info.uname, info.gname) == ("", "")
                if info.isfile():
                    assert tar.extractfile(info).read() == MODULE[info.name]

    def test_gzip_holds_the_tar_file_as_it_is(self, module, tmp_path):
        data = packed(module, tmp_path / "m.tar.gz")
        plain = gzip.decompress(data)
        assert data[:10] == b"\x1f\x8b\x08" + bytes(6) + b"\xff"
        # 5 bytes for each block of 65535, 10 before and 8 after.
        assert len(data) == len(plain) + 5 * -(-len(plain) // 65535) + 18

    def test_again_after_unpacking(self, module, tmp_path):
        first = packed(module, tmp_path / "1.tar.gz")
        (tmp_path / "copy").mkdir()
        unpack(first, tmp_path / "copy")
        assert contents(tmp_path / "copy") == MODULE
        assert packed(tmp_path / "copy", tmp_path / "2.tar.gz") == first

    def test_copies_that_differ_in_all_but_content(self, module, tmp_path):
        first = packed(module, tmp_path / "1.tar.gz")
        copy = tmp_path / "copy"
        for name in reversed(MODULE):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(module / name, copy / name)
            os.chmod(copy / name, 0o700)
            os.utime(copy / name, (1e9, 1e9))
            if os.getuid() == 0:
                os.chown(copy / name, 1234, 5678)
        (copy / "empty").mkdir()
        assert packed(copy, tmp_path / "other name.tgz") == first

    def test_names_of_all_kinds(self, module, tmp_path):
        names = [f"assets/{name}" for name in ("ü", "x" * 200, "日本" * 30, "a b", ".hidden", "-")]
        for name in names:
            (module / name).write_text(name)
        (tmp_path / "copy").mkdir()
        unpack(packed(module, tmp_path / "1.tar.gz"), tmp_path / "copy")
        assert contents(tmp_path / "copy") == MODULE | {name: name.encode() for name in names}

    @pytest.mark.parametrize("missing", ["tfhub_module.pb", "saved_model.pb"])
    def test_folder_that_is_no_module(self, missing, module, tmp_path):
        (module / missing).unlink()
        assert f"Found: no {missing} in it" in cannot_pack(module, tmp_path / "m.tar.gz")

    def test_no_folder(self, tmp_path):
        assert "Found: no such folder" in cannot_pack(tmp_path / "no", tmp_path / "m.tar.gz")

    @pytest.mark.parametrize(
        ("make", "reason"),
        [
            (lambda f: (f / "assets/a").symlink_to("vocab.txt"), "'assets/a': it is a link"),
            (lambda f: (f / "a").symlink_to(f / "assets"), "'a': it is a link"),
            (lambda f: (f / "a").symlink_to("nowhere"), "'a': it is a link"),
            (lambda f: os.mkfifo(f / "variables/a"), "'variables/a': it is no file"),
            (lambda f: (f / ".git").mkdir(), "'.git': it is hidden"),
            (lambda f: (f / "variables/.a.swp").write_text(""), "'variables/.a.swp': it is hidden"),
            (lambda f: (f / "assets/a\\b").write_text(""), "it has a backslash"),
            (lambda f: (f / "assets/a\n").write_text(""), "it has control characters"),
            (lambda f: (f / "assets/\udcff").write_text(""), "it is not UTF-8"),
        ],
    )
    def test_what_belongs_to_no_module(self, make, reason, module, tmp_path):
        make(module)
        message = cannot_pack(module, tmp_path / "m.tar.gz")
        assert reason in message
        assert "cp -rL puts files in place of links" in message

    def test_socket(self, module, tmp_path, monkeypatch):
        monkeypatch.chdir(module)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("s")
            assert "'s': it is no file" in cannot_pack(module, tmp_path / "m.tar.gz")

    @pytest.mark.parametrize("kind", ["file", "folder", "link"])
    def test_never_overwrites(self, kind, module, tmp_path):
        file = tmp_path / "m.tar.gz"
        {
            "file": lambda: file.write_text("mine"),
            "folder": file.mkdir,
            "link": lambda: file.symlink_to("nowhere"),
        }[kind]()
        before = os.lstat(file)
        message = cannot_pack(module, file)
        assert f"Expected: no file at {file}" in message
        assert os.lstat(file) == before

    def test_file_that_comes_meanwhile(self, module, tmp_path, monkeypatch):
        file = tmp_path / "m.tar.gz"
        fsync = os.fsync
        monkeypatch.setattr(os, "fsync", lambda fd: (fsync(fd), file.write_text("mine")))
        with pytest.raises(ExportError, match="pack never overwrites"):
            archive.pack(str(module), str(file))
        assert sorted(os.listdir(tmp_path)) == ["m.tar.gz", "module"]
        assert file.read_text() == "mine"

    def test_file_system_without_links(self, module, tmp_path, monkeypatch):
        def link(source, target):
            raise PermissionError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", link)
        packed(module, tmp_path / "m.tar.gz")
        assert sorted(os.listdir(tmp_path)) == ["m.tar.gz", "module"]

    def test_into_the_module(self, module):
        message = cannot_pack(module, module / "assets" / "m.tar.gz")
        assert "Expected: a file outside the module's folder" in message

    def test_parents_are_made_and_permissions_usual(self, module, tmp_path):
        packed(module, tmp_path / "a" / "b" / "m.tar.gz")
        (tmp_path / "plain").write_text("")
        modes = [(tmp_path / f).stat().st_mode for f in ("a/b/m.tar.gz", "plain")]
        assert modes[0] == modes[1]

    def test_disk_that_fails(self, module, tmp_path, monkeypatch):
        def fsync(fd):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", fsync)
        message = cannot_pack(module, tmp_path / "m.tar.gz")
        assert "No space left on device" in message
        assert "nothing was left behind" in message

    def test_interrupted(self, module, tmp_path, monkeypatch):
        def fsync(fd):
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "fsync", fsync)
        with pytest.raises(KeyboardInterrupt):
            archive.pack(str(module), str(tmp_path / "m.tar.gz"))
        assert os.listdir(tmp_path) == ["module"]
