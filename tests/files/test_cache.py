"""The cache: the old layout, whole modules only, one download for many."""

import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import pytest

import hub_keras_bridge as hub
from helpers.http_server import Answer, archive_of
from helpers.places import ZOO
from hub_keras_bridge.files.fetch import cache, cache_directory, cache_entries, download, retrying
from hub_keras_bridge.files.locks import Lock

MODULE = ZOO / "text_embed" / "module"
ARCHIVE = archive_of(MODULE)
SHA256 = hashlib.sha256(ARCHIVE).hexdigest()

# What a process runs that has no TensorFlow to import.
RESOLVE = (
    "import sys, hub_keras_bridge_cli\n"
    "from hub_keras_bridge.files.fetch.resolve import resolve\n"
    "print(resolve(sys.argv[1]))\n"
    "assert 'tensorflow' not in sys.modules\n"
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(retrying, "BACKOFF", 0.001)
    monkeypatch.setattr(retrying, "RETRIES", 2)
    monkeypatch.setenv("NO_PROXY", "*")
    return tmp_path / "cache"


@pytest.fixture
def url(server):
    return server.serve("/m", ARCHIVE)


def place_of(folder, handle):
    return folder / hashlib.sha1(handle.encode()).hexdigest()


def tree(folder):
    """Every file with its content, but for locks."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if ".locks" not in path.parts
    }


def zero_in_the_middle(file):
    """As after a power cut, or where a copy went on behind a gap."""
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    length = max(1, min(64, len(content) // 4))
    content[middle : middle + length] = bytes(length)
    file.write_bytes(content)


def fill_as_the_old_library(folder, handle):
    """What tensorflow_hub 0.15.0 leaves behind after one download."""
    place = place_of(folder, handle)
    shutil.copytree(MODULE, place)
    pathlib.Path(f"{place}.descriptor.txt").write_text(
        f"Module: {handle}\n"
        "Download Time: 2019-03-04 05:06:07.890123\n"
        "Downloader Hostname: workstation (PID:4711)"
    )
    return place


class TestLayout:
    def test_of_a_download(self, folder, url):
        path = hub.resolve(url)
        name = hashlib.sha1(url.encode()).hexdigest()
        assert path == str(folder / name)
        assert sorted(os.listdir(folder)) == [".locks", name, f"{name}.descriptor.txt"]
        assert tree(folder / name) == tree(MODULE)
        lines = (folder / f"{name}.descriptor.txt").read_text().split("\n")
        assert [line.partition(": ")[0] for line in lines] == [
            "Module",
            "Download Time",
            "Downloader Hostname",
            "SHA256",
            "Files SHA256",
        ]
        assert lines[0] == f"Module: {url}"
        assert lines[2].endswith(f" (PID:{os.getpid()})")
        assert lines[3] == f"SHA256: {SHA256}"
        # As `sha256sum` prints them, in the order of their names.
        files = sorted((name, held) for name, held in tree(MODULE).items() if held is not None)
        listed = "".join(f"{hashlib.sha256(held).hexdigest()} {name}\n" for name, held in files)
        assert lines[4] == f"Files SHA256: {hashlib.sha256(listed.encode()).hexdigest()}"

    def test_permissions_are_those_of_ordinary_folders(self, url, tmp_path):
        (tmp_path / "ordinary").mkdir()
        path = hub.resolve(url)
        for made in (path, os.path.join(path, "variables")):
            assert os.stat(made).st_mode == os.stat(tmp_path / "ordinary").st_mode

    def test_default_folder(self, monkeypatch, tmp_path):
        monkeypatch.delenv("TFHUB_CACHE_DIR")
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        assert cache_directory.directory() == str(tmp_path / "tfhub_modules")

    def test_no_local_disk(self, monkeypatch, url):
        monkeypatch.setenv("TFHUB_CACHE_DIR", "https://bucket/cache")
        with pytest.raises(hub.CacheError) as caught:
            hub.resolve(url)
        assert url in str(caught.value)
        assert "Found: TFHUB_CACHE_DIR=https://bucket/cache" in str(caught.value)

    def test_nothing_is_made_before_it_is_needed(self, folder):
        assert cache_entries.entries() == []
        assert cache_entries.lookup("https://example.org/m") is None
        assert not folder.exists()


class TestOldCache:
    HANDLE = "https://tfhub.dev/zoo/text_embed/1"

    def test_is_used_without_a_request(self, folder, server, monkeypatch):
        # All requests would go to this proxy.
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, server.url())
        monkeypatch.delenv("NO_PROXY")
        place = fill_as_the_old_library(folder, self.HANDLE)
        before = tree(folder)
        assert hub.resolve(self.HANDLE) == str(place)
        assert hub.ModuleLayer(self.HANDLE)(["a"]).shape == (1, 16)
        assert server.requests == []
        assert tree(folder) == before

    def test_is_used_when_it_cannot_be_written(self, folder, monkeypatch):
        place = fill_as_the_old_library(folder, self.HANDLE)

        def refuse(*args, **kwargs):
            raise PermissionError("read-only")

        monkeypatch.setattr(os, "mkdir", refuse)
        monkeypatch.setattr(os, "rename", refuse)
        assert hub.resolve(self.HANDLE) == str(place)

    def test_is_listed(self, folder):
        place = fill_as_the_old_library(folder, self.HANDLE)
        (entry,) = cache_entries.entries()
        assert entry.path == str(place)
        assert entry.handle == self.HANDLE
        assert entry.fetched.isoformat() == "2019-03-04T05:06:07.890123"
        assert entry.sha256 is None
        assert entry.fault is None
        assert entry.size == sum(len(content or b"") for content in tree(MODULE).values())

    def test_without_its_descriptor(self, folder):
        place = fill_as_the_old_library(folder, self.HANDLE)
        pathlib.Path(f"{place}.descriptor.txt").unlink()
        os.utime(place, (10**9, 10**9))
        (entry,) = cache_entries.entries()
        assert entry.handle is None
        assert entry.fetched.timestamp() == 10**9
        assert hub.resolve(self.HANDLE) == str(place)


class TestBroken:
    @pytest.mark.parametrize(
        "file", sorted(name for name, content in tree(MODULE).items() if content)
    )
    def test_is_fetched_again(self, file, url, server):
        path = hub.resolve(url)
        os.remove(os.path.join(path, file))
        assert hub.resolve(url) == path
        assert len(server.requests) == 2
        assert tree(pathlib.Path(path)) == tree(MODULE)

    @pytest.mark.parametrize(
        "file", ["variables/variables.index", "variables/variables.data-00000-of-00001"]
    )
    def test_half_a_file_is_fetched_again(self, file, url, server):
        path = pathlib.Path(hub.resolve(url))
        content = (path / file).read_bytes()
        (path / file).write_bytes(content[: len(content) // 2])
        assert hub.resolve(url) == str(path)
        assert len(server.requests) == 2
        assert tree(path) == tree(MODULE)

    def test_zeros_among_the_values_are_told_when_they_are_read(self, url):
        path = pathlib.Path(hub.resolve(url))
        zero_in_the_middle(path / "variables" / "variables.data-00000-of-00001")
        with pytest.raises(hub.CheckpointError) as caught:
            hub.ModuleLayer(url).build()
        message = str(caught.value)
        assert "Cannot restore variable 'emb/embeddings' of a TF1 Hub module." in message
        assert f"In: module '{url}'" in message
        assert "Checksum does not match" in message
        assert "`hub-keras-bridge cache prune --broken --deep` removes it" in message

    def test_empty_folder_is_fetched_again(self, folder, url):
        place_of(folder, url).mkdir(parents=True)
        assert tree(pathlib.Path(hub.resolve(url))) == tree(MODULE)

    def test_offline_is_named_and_left_as_it_is(self, folder, server, url):
        path = hub.resolve(url)
        os.remove(os.path.join(path, "assets", "zoo_vocab_1.txt"))
        before = tree(folder)
        server.serve("/m", Answer(status=503))
        with pytest.raises(hub.CacheError) as caught:
            hub.resolve(url)
        message = str(caught.value)
        assert "is broken, and could not be fetched again" in message
        assert f"In: module '{url}'" in message
        assert f"Found: assets/zoo_vocab_1.txt is missing in {path}; fetching: " in message
        assert "status 503 Service Unavailable" in message
        assert f"status 200 from {url}?tf-hub-format=compressed" in message
        assert tree(folder) == before


class TestChecksum:
    @pytest.mark.parametrize("sha256", [SHA256, SHA256.upper()], ids=["lower", "upper"])
    def test_right(self, url, sha256, server):
        path = hub.resolve(url, sha256=sha256)
        assert hub.resolve(url, sha256=sha256) == path
        assert len(server.requests) == 1

    def test_wrong(self, url, folder):
        with pytest.raises(hub.ArchiveError) as caught:
            hub.resolve(url, sha256="00" * 32)
        message = str(caught.value)
        assert f"In: module '{url}'" in message
        assert f"Expected: sha256 {'00' * 32}" in message
        assert f"Found: sha256 {SHA256}, from {url}?tf-hub-format=compressed" in message
        assert tree(folder) == {}

    def test_is_compared_before_unpacking(self, url, monkeypatch):
        monkeypatch.setattr("hub_keras_bridge.files.archive.unpack", None)
        with pytest.raises(hub.ArchiveError, match="another checksum"):
            hub.resolve(url, sha256="00" * 32)

    def test_that_was_not_noted_is_made_sure_of(self, folder, url, server):
        place = fill_as_the_old_library(folder, url)
        assert hub.resolve(url, sha256=SHA256) == str(place)
        assert len(server.requests) == 1
        assert cache_entries.entry_of(url).sha256 == SHA256

    def test_that_was_not_noted_offline(self, folder, url, server):
        place = fill_as_the_old_library(folder, url)
        server.serve("/m", Answer(status=404))
        before = tree(folder)
        with pytest.raises(hub.CacheError) as caught:
            hub.resolve(url, sha256=SHA256)
        message = str(caught.value)
        assert "has no matching checksum, and could not be fetched again" in message
        assert f"Found: {place}, whose archive's is not known; fetching: " in message
        assert "status 404" in message
        assert "to use it as it is, leave out sha256" in message
        assert tree(folder) == before
        assert hub.resolve(url) == str(place)

    @pytest.mark.parametrize("file", sorted(name for name, held in tree(MODULE).items() if held))
    def test_given_again_means_these_very_files(self, file, url, server):
        path = hub.resolve(url, sha256=SHA256)
        zero_in_the_middle(pathlib.Path(path, file))
        if file in ("variables/variables.data-00000-of-00001", "assets/zoo_vocab_1.txt"):
            # As long as nobody asks, this would take as long as reading all of it.
            assert hub.resolve(url) == path
            assert len(server.requests) == 1
        assert hub.resolve(url, sha256=SHA256) == path
        assert len(server.requests) == 2
        assert tree(pathlib.Path(path)) == tree(MODULE)
        assert hub.resolve(url, sha256=SHA256) == path
        assert len(server.requests) == 2

    def test_a_file_that_came_later(self, url, server):
        path = hub.resolve(url, sha256=SHA256)
        pathlib.Path(path, "assets", "more").write_text("x")
        hub.resolve(url, sha256=SHA256)
        assert tree(pathlib.Path(path)) == tree(MODULE)
        assert len(server.requests) == 2

    def test_changed_files_offline(self, folder, url, server):
        path = hub.resolve(url, sha256=SHA256)
        zero_in_the_middle(pathlib.Path(path, "variables", "variables.data-00000-of-00001"))
        server.serve("/m", Answer(status=404))
        before = tree(folder)
        with pytest.raises(hub.CacheError) as caught:
            hub.resolve(url, sha256=SHA256)
        message = str(caught.value)
        assert "has no matching checksum, and could not be fetched again" in message
        assert f"Found: {path}, whose files are not those that were unpacked; fetching" in message
        assert tree(folder) == before

    def test_of_files_that_was_not_noted_is_made_sure_of(self, url, server):
        """As by earlier releases of this package."""
        place = pathlib.Path(hub.resolve(url, sha256=SHA256))
        descriptor = place.with_name(f"{place.name}.descriptor.txt")
        lines = descriptor.read_text().splitlines()
        descriptor.write_text("\n".join(line for line in lines if "Files" not in line))
        hub.resolve(url)
        assert len(server.requests) == 1
        hub.resolve(url, sha256=SHA256)
        assert len(server.requests) == 2
        hub.resolve(url, sha256=SHA256)
        assert len(server.requests) == 2

    def test_local_archive(self, tmp_path):
        (tmp_path / "m.tar.gz").write_bytes(ARCHIVE)
        path = hub.resolve(tmp_path / "m.tar.gz", sha256=SHA256)
        zero_in_the_middle(pathlib.Path(path, "variables", "variables.data-00000-of-00001"))
        assert hub.resolve(tmp_path / "m.tar.gz", sha256=SHA256) == path
        assert tree(pathlib.Path(path)) == tree(MODULE)

    def test_another_one_asked_for_keeps_the_module(self, folder, url):
        hub.resolve(url)
        before = tree(folder)
        with pytest.raises(hub.ArchiveError, match="another checksum"):
            hub.resolve(url, sha256="00" * 32)
        assert tree(folder) == before

    @pytest.mark.parametrize(
        "sha256",
        ["", "abc", "g" * 64, SHA256 + "0"],
        ids=["empty", "short", "no hexadecimal", "long"],
    )
    def test_is_none(self, url, sha256, server):
        with pytest.raises(hub.HandleError) as caught:
            hub.resolve(url, sha256=sha256)
        assert f"Found: {sha256!r}" in str(caught.value)
        assert server.requests == []


class TestUnwritable:
    def test_no_folder_can_be_made(self, url, server, monkeypatch, tmp_path):
        (tmp_path / "file").write_text("x")
        monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "file" / "cache"))
        with pytest.raises(hub.CacheError) as caught:
            hub.resolve(url)
        message = str(caught.value)
        assert "Cannot write to the cache" in message
        assert f"In: module '{url}'" in message
        assert f"Expected: to write in {tmp_path / 'file' / 'cache'}" in message
        assert "Not a directory" in message
        assert "point TFHUB_CACHE_DIR to another folder" in message
        assert server.requests == []

    def test_read_only(self, url, server, monkeypatch):
        """By a user whom permissions bind; they do not bind root."""
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o555)
            monkeypatch.setenv("TFHUB_CACHE_DIR", folder)
            code = RESOLVE.replace("print", "import os; os.getuid() or os.setuid(65534)\nprint")
            done = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True)
            assert os.listdir(folder) == []
        assert done.returncode == 1
        assert "CacheError: Cannot write to the cache" in done.stderr
        assert f"In: module '{url}'" in done.stderr
        assert f"Expected: to write in {folder}" in done.stderr
        assert "Permission denied" in done.stderr
        assert server.requests == []

    def test_full_disk(self, url, folder, monkeypatch):
        def full(path, mode):
            return open("/dev/full", mode)

        monkeypatch.setattr(download, "open", full, raising=False)
        with pytest.raises(hub.DownloadError) as caught:
            hub.resolve(url)
        message = str(caught.value)
        assert f"In: module '{url}'" in message
        assert f"from {url}?tf-hub-format=compressed" in message
        assert "No space left on device" in message
        assert tree(folder) == {}

    @pytest.mark.parametrize("owner", [0, 12345])
    def test_default_folder_of_another_user(self, owner, url, server, monkeypatch, tmp_path):
        monkeypatch.delenv("TFHUB_CACHE_DIR")
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        (tmp_path / "tfhub_modules").mkdir()
        monkeypatch.setattr(cache_directory, "_owners", lambda folder: {owner, os.geteuid()})
        if owner == 0:
            hub.resolve(url)  # root could replace this very program
            return
        with pytest.raises(hub.CacheError) as caught:
            hub.resolve(url)
        message = str(caught.value)
        assert "the folder is another user's" in message
        assert f"In: module '{url}'" in message
        assert "made by user 12345" in message
        assert "point TFHUB_CACHE_DIR to a folder of your own" in message
        assert server.requests == []


class TestManyAtOnce:
    def test_eight_processes_and_one_download(self, server, folder):
        url = server.serve("/m", Answer(ARCHIVE, pauses=0.05))
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", RESOLVE, url], stdout=subprocess.PIPE, text=True
            )
            for _ in range(8)
        ]
        told = [process.communicate(timeout=60)[0] for process in processes]
        assert [process.returncode for process in processes] == [0] * 8
        assert set(told) == {f"{place_of(folder, url)}\n"}
        assert len(server.requests) == 1
        assert not list(folder.glob(".*.partial"))

    def test_threads(self, server):
        url = server.serve("/m", Answer(ARCHIVE, pauses=0.02))
        found = []
        threads = [
            threading.Thread(target=lambda: found.append(hub.resolve(url))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8
        assert len(set(found)) == 1
        assert len(server.requests) == 1

    def test_other_handles_do_not_wait(self, server):
        slow = server.serve("/slow", Answer(ARCHIVE, pauses=0.2))
        quick = server.serve("/quick", ARCHIVE)
        thread = threading.Thread(target=lambda: hub.resolve(slow))
        thread.start()
        while not server.requests:
            time.sleep(0.01)
        hub.resolve(quick)
        assert thread.is_alive()
        thread.join()
        assert cache_entries.lookup(slow)


class TestKilled:
    def test_next_process_goes_on(self, server, folder):
        url = server.serve("/m", Answer(ARCHIVE, pauses=60), Answer(ARCHIVE))
        process = subprocess.Popen([sys.executable, "-c", RESOLVE, url])
        deadline = time.monotonic() + 30
        while not server.requests and time.monotonic() < deadline:
            time.sleep(0.01)
        (leftover,) = folder.glob(".*.partial")
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert leftover.exists()
        begin = time.monotonic()
        path = hub.resolve(url)
        assert time.monotonic() - begin < 5
        assert tree(pathlib.Path(path)) == tree(MODULE)
        assert not leftover.exists()

    def test_leftovers_of_other_handles_are_removed_but_not_of_the_living(self, folder, url):
        dead, living = (
            folder / f".{hashlib.sha1(name).hexdigest()}.abc.partial" for name in (b"a", b"b")
        )
        for leftover in (dead, living):
            leftover.mkdir(parents=True)
            (leftover / "file").write_text("x")
        (folder / ".locks").mkdir()
        with Lock(str(folder / ".locks" / hashlib.sha1(b"b").hexdigest())):
            hub.resolve(url)
            assert not dead.exists()
            assert (living / "file").exists()
            assert cache.leftovers() == [str(living)]
        assert cache.remove_leftovers() == [str(living)]
        assert not living.exists()

    def test_leftovers_that_cannot_be_locked_are_in_nobodys_way(self, folder, url):
        name = hashlib.sha1(b"a").hexdigest()
        leftover = folder / f".{name}.abc.partial"
        leftover.mkdir(parents=True)
        (folder / ".locks" / name).mkdir(parents=True)  # a lock that cannot be opened
        assert hub.resolve(url)
        assert leftover.exists()
        assert cache.remove_leftovers() == []


class TestRemove:
    def test_takes_the_descriptor_along(self, folder, url):
        hub.resolve(url)
        (entry,) = cache_entries.entries()
        assert cache.remove(entry)
        assert tree(folder) == {}

    def test_not_while_it_is_being_fetched(self, folder, url):
        hub.resolve(url)
        (entry,) = cache_entries.entries()
        before = tree(folder)
        with Lock(str(folder / ".locks" / os.path.basename(entry.path))):
            assert not cache.remove(entry)
        assert tree(folder) == before

    def test_other_files_are_none_of_the_caches(self, folder):
        folder.mkdir()
        (folder / "notes").mkdir()
        (folder / ("a" * 40)).write_text("a file")
        assert cache_entries.entries() == []


def test_secrets_are_not_written(server, folder):
    url = server.serve("/m", ARCHIVE).replace("://", "://me:secret@")
    path = hub.resolve(f"{url}?token=tell-nobody")
    assert path == str(place_of(folder, f"{url}?token=tell-nobody"))
    descriptor = pathlib.Path(f"{path}.descriptor.txt").read_text()
    assert descriptor.startswith(f"Module: {server.url('/m', host='***@127.0.0.1')}?token=***\n")
    layer = hub.ModuleLayer(f"{url}?token=tell-nobody")
    assert "secret" not in str(layer.get_config())
