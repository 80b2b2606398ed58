"""A cache on a remote file system: ``ram://``, one of TensorFlow's that needs no network."""

import hashlib
import threading

import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.http_server import Answer, archive_of
from helpers.places import ZOO
from hub_keras_bridge.cli import main
from hub_keras_bridge.files.fetch import cache_entries, remote_entries, retrying

GFILE = tf.io.gfile
MODULE = ZOO / "text_embed" / "module"
ARCHIVE = archive_of(MODULE)
SHA256 = hashlib.sha256(ARCHIVE).hexdigest()


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, request):
    """A cache of the test's own."""
    url = f"ram://cache/{hashlib.sha1(str(tmp_path).encode()).hexdigest()[:8]}"
    monkeypatch.setenv("TFHUB_CACHE_DIR", url)
    monkeypatch.setattr(retrying, "BACKOFF", 0.001)
    monkeypatch.setenv("NO_PROXY", "*")
    return url


@pytest.fixture
def url(server):
    return server.serve("/m", ARCHIVE)


def place_of(folder, handle):
    return f"{folder}/{hashlib.sha1(handle.encode()).hexdigest()}"


def files_in(folder):
    """Path below a remote folder -> content."""
    found = {}
    for inside, _, names in GFILE.walk(folder):
        for name in names:
            path = f"{inside}/{name}"
            # ram:// lists what lies beside a folder, if its name begins with the folder's.
            if GFILE.exists(path):
                with GFILE.GFile(path, "rb") as stream:
                    found[path.removeprefix(f"{folder}/")] = stream.read()
    return found


def files_of(module):
    return {
        path.relative_to(module).as_posix(): path.read_bytes()
        for path in module.rglob("*")
        if path.is_file()
    }


class TestPlace:
    def test_module_and_descriptor(self, url, folder, server):
        path = hub.resolve(url)
        assert path == place_of(folder, url)
        assert files_in(path) == files_of(MODULE)
        name = path.rpartition("/")[2]
        others = set(files_in(folder)) - {f"{name}/{file}" for file in files_of(MODULE)}
        assert others == {f"{name}.descriptor.txt"}
        with GFILE.GFile(f"{path}.descriptor.txt") as stream:
            lines = stream.read().splitlines()
        assert (lines[0], lines[3]) == (f"Module: {url}", f"SHA256: {SHA256}")
        assert hub.resolve(url) == path
        assert len(server.asked) == 1

    def test_a_slash_at_the_end_is_none_of_the_name(self, url, folder, monkeypatch):
        monkeypatch.setenv("TFHUB_CACHE_DIR", f"{folder}/")
        assert hub.resolve(url) == place_of(folder, url)

    def test_file_url(self, url, tmp_path, monkeypatch):
        """The original keeps a module below that path, too."""
        monkeypatch.setenv("TFHUB_CACHE_DIR", (tmp_path / "my cache").as_uri())
        path = hub.resolve(url)
        assert path == place_of(str(tmp_path / "my cache"), url)
        assert files_of(tmp_path / "my cache" / path.rpartition("/")[2]) == files_of(MODULE)

    def test_what_the_old_library_left_is_used(self, folder, server):
        handle = "https://tfhub.dev/zoo/text_embed/1"
        for name, content in files_of(MODULE).items():
            path = f"{place_of(folder, handle)}/{name}"
            GFILE.makedirs(path.rpartition("/")[0])
            with GFILE.GFile(path, "wb") as stream:
                stream.write(content)
        assert hub.resolve(handle) == place_of(folder, handle)

    @pytest.mark.parametrize("place", ["https://host/cache", "unheard-of://bucket/cache"])
    def test_no_such_file_system(self, place, url, server, monkeypatch):
        monkeypatch.setenv("TFHUB_CACHE_DIR", place)
        with pytest.raises(hub.CacheError) as caught:
            hub.resolve(url)
        message = str(caught.value)
        assert "there is no such file system" in message
        assert f"In: module '{url}'" in message
        assert f"Found: TFHUB_CACHE_DIR={place}" in message
        assert "schemes file, " in message
        assert "ram" in message
        assert server.requests == []

    def test_that_cannot_be_written(self, url, server, monkeypatch):
        def denied(path):
            raise tf.errors.PermissionDeniedError(None, None, "no credentials")

        monkeypatch.setattr(GFILE, "makedirs", denied)
        with pytest.raises(hub.CacheError, match="no credentials") as caught:
            hub.resolve(url)
        assert "Cannot write to the cache" in str(caught.value)
        # Before a long download.
        assert server.requests == []


class TestReading:
    """What is resolved to a URL is read there."""

    @pytest.fixture
    def path(self, url):
        return hub.resolve(url)

    def expected(self):
        return hub.ModuleLayer(MODULE)(["a", "b"]).numpy()

    def test_spec(self, path):
        here = hub.load_module_spec(MODULE)
        assert hub.load_module_spec(path).get_tags() == here.get_tags()
        assert hub.load_module_spec(path).get_signature_names() == here.get_signature_names()

    def test_layer_of_the_handle_and_of_the_path(self, url, path):
        for handle in (url, path):
            np.testing.assert_array_equal(hub.ModuleLayer(handle)(["a", "b"]), self.expected())

    def test_load(self, path):
        np.testing.assert_array_equal(hub.load(path)(["a", "b"]), self.expected())

    def test_in_a_graph(self, path):
        v1, expected = tf.compat.v1, self.expected()
        with tf.Graph().as_default(), v1.Session() as session:
            output = hub.Module(path)(tf.constant(["a", "b"]))
            session.run([v1.global_variables_initializer(), v1.tables_initializer()])
            np.testing.assert_allclose(session.run(output), expected, atol=1e-6)

    def test_export(self, path, tmp_path):
        hub.load_module_spec(path).export(str(tmp_path / "spec"))
        hub.ModuleLayer(path).export_module(tmp_path / "layer")
        for name in ("spec", "layer"):
            np.testing.assert_array_equal(
                hub.ModuleLayer(tmp_path / name)(["a", "b"]), self.expected()
            )

    def test_keras_file(self, path, tmp_path):
        import keras

        inputs = keras.Input((), dtype="string")
        model = keras.Model(inputs, hub.ModuleLayer(path)(inputs))
        model.save(tmp_path / "m.keras")
        loaded = keras.models.load_model(tmp_path / "m.keras")
        np.testing.assert_array_equal(loaded(tf.constant(["a", "b"])), self.expected())

    def test_saved_model(self, server, tmp_path):
        tf.saved_model.save(hub.load(str(MODULE)), tmp_path / "saved")
        path = hub.resolve(server.serve("/saved", archive_of(tmp_path / "saved")))
        assert path.startswith("ram://")
        np.testing.assert_array_equal(hub.ModuleLayer(path)(["a", "b"]), self.expected())


class TestWhatIsNotWhole:
    def test_is_fetched_again(self, url, server):
        path = hub.resolve(url)
        GFILE.remove(f"{path}/variables/variables.index")
        with GFILE.GFile(f"{path}/stale", "w") as stream:
            stream.write("of another version")
        assert cache_entries.lookup(url) is None
        assert hub.resolve(url) == path
        assert files_in(path) == files_of(MODULE)
        assert len(server.asked) == 2

    def test_another_checksum_is_fetched_again(self, url, server):
        path = hub.resolve(url)
        server.serve("/m", archive_of(ZOO / "mlp_bn" / "module"))
        other = hashlib.sha256(archive_of(ZOO / "mlp_bn" / "module")).hexdigest()
        assert hub.resolve(url, sha256=other) == path
        assert files_in(path) == files_of(ZOO / "mlp_bn" / "module")
        # And stays where that fails.
        with pytest.raises(hub.ArchiveError, match="another checksum"):
            hub.resolve(url, sha256="0" * 64)
        assert files_in(path) == files_of(ZOO / "mlp_bn" / "module")

    def test_that_cannot_be_fetched_again(self, url, server):
        path = hub.resolve(url)
        GFILE.remove(f"{path}/saved_model.pb")
        server.serve("/m", Answer(b"", status=404))
        with pytest.raises(hub.CacheError, match="broken, and could not be fetched again"):
            hub.resolve(url)

    def test_of_a_download_nothing_is_left(self, server, folder):
        url = server.serve("/m", b"no archive")
        with pytest.raises(hub.ArchiveError):
            hub.resolve(url)
        assert files_in(folder) == {}

    @pytest.mark.parametrize("count", [1, 4, 7])
    def test_a_writer_that_breaks_off(self, count, url, folder, monkeypatch):
        """At any file: nobody takes what is there for whole, and the next one mends it."""
        rename, moved = GFILE.rename, []

        def break_off(*arguments, **named):
            if len(moved) == min(count, len(files_of(MODULE)) - 1):
                raise tf.errors.UnavailableError(None, None, "connection lost")
            moved.append(arguments)
            rename(*arguments, **named)

        monkeypatch.setattr(GFILE, "rename", break_off)
        with pytest.raises(hub.CacheError, match="connection lost"):
            hub.resolve(url)
        monkeypatch.undo()
        monkeypatch.setenv("TFHUB_CACHE_DIR", folder)
        assert cache_entries.lookup(url) is None
        assert files_in(hub.resolve(url)) == files_of(MODULE)


class TestManyAtOnce:
    def test_threads_and_one_download(self, server):
        url = server.serve("/m", Answer(ARCHIVE, pauses=0.01))
        found = []
        threads = [
            threading.Thread(target=lambda: found.append(hub.resolve(url))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(found)) == 1
        assert len(found) == 8
        assert len(server.asked) == 1

    def test_another_process_was_quicker(self, url, folder, monkeypatch):
        """Its module stays as it is, to the byte."""
        entry = cache_entries.entry_of(url)
        publish, seen = remote_entries.publish, []

        def publish_second(*arguments):
            publish(*arguments)
            GFILE.GFile(f"{entry.path}/mark", "w").write("first")
            publish(*arguments)
            seen.append(set(files_in(entry.path)) - set(files_of(MODULE)))

        monkeypatch.setattr(remote_entries, "publish", publish_second)
        hub.resolve(url)
        assert seen == [{"mark"}]
        assert not any(".tmp" in name for name in files_in(folder))

    def test_processes_that_know_nothing_of_each_other(self, folder):
        """Each publishes for itself; whoever finds a module finds all of it, and goes on to."""
        entry = cache_entries.entry_of("https://example.org/m")
        done, seen = threading.Event(), []

        def read():
            while not done.is_set():
                if entry.serves(None):
                    seen.append(files_in(entry.path) == files_of(MODULE))

        def publish():
            remote_entries.publish(str(MODULE), "Module: m", entry, None)

        reader = threading.Thread(target=read)
        writers = [threading.Thread(target=publish) for _ in range(6)]
        for thread in (reader, *writers):
            thread.start()
        for thread in writers:
            thread.join()
        while not seen:
            assert reader.is_alive()
        done.set()
        reader.join()
        assert all(seen)
        assert files_in(entry.path) == files_of(MODULE)
        assert not any(".tmp" in name for name in files_in(folder))

    def test_readers_see_the_whole_or_nothing(self, url, monkeypatch):
        """Whenever a file comes to its place."""
        entry = cache_entries.entry_of(url)
        rename, seen, moved = GFILE.rename, [], []

        def watch(*arguments, **named):
            seen.append(cache_entries.lookup(url))
            moved.append(arguments[1].removeprefix(f"{entry.path}/"))
            rename(*arguments, **named)
            seen.append(cache_entries.lookup(url))

        monkeypatch.setattr(GFILE, "rename", watch)
        hub.resolve(url)
        assert set(moved) == set(files_of(MODULE))
        # Without it, nobody takes the folder for a module's.
        assert moved[-1] == "saved_model.pb"
        assert len(seen) == 2 * len(files_of(MODULE))
        assert seen == [None] * (len(seen) - 1) + [entry.path]


class TestCommand:
    def test_list_verify_and_prune(self, url, folder, capsys):
        path = hub.resolve(url)
        assert main(["cache", "list"]) == 0
        told = capsys.readouterr().out
        size = f"{sum(map(len, files_of(MODULE).values())) / 1000:.1f} kB"
        (row,) = [line for line in told.splitlines() if line.startswith(url)]
        assert row.split() == [url, *size.split(), "not", "known", "just", "now", "whole"]
        assert f"\n1 module in {folder}, {size}\n" in told
        GFILE.remove(f"{path}/saved_model.pb")
        assert main(["cache", "verify"]) == 1
        assert "broken: saved_model.pb is missing" in capsys.readouterr().out
        assert main(["cache", "prune", "--broken"]) == 0
        assert f"\n1 module removed from {folder}, freed " in capsys.readouterr().out
        assert files_in(folder) == {}
        assert main(["cache", "list"]) == 0
        assert capsys.readouterr().out.startswith("0 modules")
