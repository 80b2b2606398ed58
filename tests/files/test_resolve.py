"""Handles and the directories they stand for."""

import hashlib
import pathlib
import shutil
import sys
import types

import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.http_server import Answer, archive_of, redirect
from helpers.places import ZOO
from hub_keras_bridge.files.fetch import cache_entries, retrying
from hub_keras_bridge.files.urls import with_query

MODULE = ZOO / "text_embed" / "module"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("TFHUB_MODEL_LOAD_FORMAT", raising=False)
    monkeypatch.setattr(retrying, "BACKOFF", 0.001)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "embed module.tar.gz"
    path.write_bytes(archive_of(MODULE))
    return path


def same_files(folder, other=MODULE):
    folder, other = pathlib.Path(folder), pathlib.Path(other)
    names = {p.relative_to(other) for p in other.rglob("*")}
    return names == {p.relative_to(folder) for p in folder.rglob("*")} and all(
        (folder / n).read_bytes() == (other / n).read_bytes()
        for n in names
        if (other / n).is_file()
    )


def failure(kind, handle, **kwargs):
    with pytest.raises(kind) as caught:
        hub.resolve(handle, **kwargs)
    assert f"In: module '{handle}'" in str(caught.value)
    assert "What to do: " in str(caught.value)
    return str(caught.value)


class TestPaths:
    def test_are_returned_as_they_are(self, tmp_path, monkeypatch):
        (tmp_path / "my embed").mkdir()
        monkeypatch.chdir(tmp_path)
        assert hub.resolve(str(tmp_path / "my embed")) == str(tmp_path / "my embed")
        assert hub.resolve(tmp_path / "my embed") == str(tmp_path / "my embed")
        assert hub.resolve("my embed") == "my embed"
        assert hub.resolve(f"file://{tmp_path}/my%20embed") == str(tmp_path / "my embed")

    def test_nothing_there(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for handle in (f"{tmp_path}/absent", "absent", "absent.tar.gz", "absent.keras"):
            message = failure(hub.HandleError, handle)
            assert "there is no such directory" in message
            assert f"Found: nothing at {tmp_path}/absent" in message

    def test_from_the_home_of_the_user(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / "embed").mkdir()
        assert hub.resolve("~/embed") == str(tmp_path / "embed")
        assert f"Found: nothing at {tmp_path}/absent" in failure(hub.HandleError, "~/absent")

    @pytest.mark.parametrize(
        ("name", "advice"),
        [
            ("saved_model.pb", "pass the folder that it is in: {folder}"),
            ("tfhub_module.pb", "pass the folder that it is in: {folder}"),
            ("m.keras", "load it with keras.models.load_model; to make a module of the one in "),
        ],
    )
    def test_file_that_is_no_module(self, tmp_path, monkeypatch, name, advice):
        monkeypatch.chdir(tmp_path)
        (tmp_path / name).write_bytes(b"")
        message = failure(hub.HandleError, name)
        assert "Cannot resolve the handle of a TF1 Hub module: this is a file." in message
        assert f"Found: the file {tmp_path}/{name}" in message
        assert f"What to do: {advice.format(folder=tmp_path)}" in message

    def test_folder_around_a_module(self):
        with pytest.raises(hub.FormatError) as caught:
            hub.load_module_spec(str(MODULE.parent))
        assert f"What to do: did you mean {MODULE}?" in str(caught.value)

    def test_folder_has_no_checksum(self, tmp_path):
        message = failure(hub.HandleError, str(tmp_path), sha256="0" * 64)
        assert "without its archive" in message

    @pytest.mark.parametrize("handle", [None, 3, ["path"]])
    def test_no_path(self, handle):
        with pytest.raises(hub.HandleError, match=f"Found: {type(handle).__name__}"):
            hub.resolve(handle)


class TestArchives:
    @pytest.mark.parametrize(
        ("suffix", "mode"), [(".tar", "w"), (".tar.gz", "w:gz"), (".tgz", "w:gz")]
    )
    def test_are_unpacked(self, tmp_path, suffix, mode):
        path = tmp_path / f"embed{suffix}"
        path.write_bytes(archive_of(MODULE, mode))
        assert same_files(hub.resolve(path))

    def test_by_url(self, archive):
        assert same_files(hub.resolve(archive.as_uri()))
        assert "%20" in archive.as_uri()

    def test_go_where_a_handle_goes(self, archive):
        assert hub.ModuleLayer(archive)(["a"]).shape == (1, 16)
        assert hub.load_module_spec(str(archive)).get_signature_names() == ["default"]

    def test_are_kept_by_content(self, archive, tmp_path):
        first = hub.resolve(archive)
        shutil.copy(archive, tmp_path / "copy.tgz")
        assert hub.resolve(tmp_path / "copy.tgz") == first
        archive.write_bytes(archive_of(ZOO / "mlp_bn" / "module"))
        second = hub.resolve(archive)
        assert second != first
        assert same_files(second, ZOO / "mlp_bn" / "module")
        assert [entry.handle for entry in cache_entries.entries()] == [str(archive)] * 2

    def test_are_told_apart_by_their_full_path(self, archive, monkeypatch):
        monkeypatch.chdir(archive.parent)
        hub.resolve(archive.name)
        assert [entry.handle for entry in cache_entries.entries()] == [str(archive)]

    def test_checksum(self, archive):
        sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
        assert same_files(hub.resolve(archive, sha256=sha256))
        message = failure(hub.ArchiveError, str(archive), sha256="0" * 64)
        assert f"Found: sha256 {sha256}" in message

    def test_folder_that_is_named_like_one(self, tmp_path):
        shutil.copytree(MODULE, tmp_path / "embed.tar.gz")
        assert hub.resolve(tmp_path / "embed.tar.gz") == str(tmp_path / "embed.tar.gz")

    def test_without_a_module(self, archive):
        archive.write_bytes(archive_of(MODULE.parent))
        message = failure(hub.FormatError, str(archive))
        assert f"Found: saved_model.pb is missing in what came from {archive}" in message
        assert cache_entries.entries() == []

    def test_none(self, archive):
        archive.write_bytes(b"PK\x03\x04 zip")
        assert f"Found: a zip archive, from {archive}" in failure(hub.ArchiveError, str(archive))
        assert cache_entries.entries() == []


class TestHosted:
    @pytest.mark.parametrize(
        ("query", "asked"),
        [("", "?tf-hub-format=compressed"), ("?v=3", "?v=3&tf-hub-format=compressed")],
    )
    def test_protocol(self, server, query, asked):
        url = server.serve("/embed/1", redirect("/store/embed?signed=yes"))
        server.serve("/store/embed", archive_of(MODULE))
        assert same_files(hub.resolve(url + query))
        assert server.asked == [f"/embed/1{asked}", "/store/embed?signed=yes"]
        hub.resolve(url + query)
        assert len(server.asked) == 2

    def test_go_where_a_handle_goes(self, server):
        url = server.serve("/embed/1", archive_of(MODULE))
        assert hub.ModuleLayer(url)(["a"]).shape == (1, 16)
        assert hub.load_module_spec(url).files.name == url

    @pytest.mark.parametrize(
        ("body", "found"),
        [
            (b"<!DOCTYPE html><html>Sign in</html>", "an HTML page"),
            (b"PK\x03\x04 zip", "a zip archive"),
            (archive_of(MODULE)[:-100], "a gzip file that is cut short"),
        ],
    )
    def test_no_archive(self, server, body, found):
        url = server.serve("/m.tar.gz", redirect("/there"))
        there = server.serve("/there", body)
        message = failure(hub.ArchiveError, url)
        assert f"Found: {found}" in message
        assert f", from {there}" in message
        assert cache_entries.entries() == []

    def test_no_module(self, server):
        url = server.serve("/m", archive_of(MODULE.parent))
        asked = with_query(url, "tf-hub-format", "compressed")
        assert f"saved_model.pb is missing in what came from {asked}" in failure(
            hub.FormatError, url
        )
        assert cache_entries.entries() == []

    @pytest.mark.parametrize(
        "answer", [Answer(status=403), Answer(status=404), Answer(b"a", cut=0)]
    )
    def test_no_answer(self, server, answer):
        url = server.serve("/m", answer)
        message = failure(hub.DownloadError, url)
        assert with_query(url, "tf-hub-format", "compressed") in message
        assert cache_entries.entries() == []


class TestRemote:
    """On ``ram://``, a file system of TensorFlow's that needs no network."""

    @pytest.fixture
    def shelf(self):
        tf.io.gfile.makedirs("ram://shelf")
        yield "ram://shelf"
        tf.io.gfile.rmtree("ram://shelf")

    @pytest.fixture
    def folder(self, shelf):
        for file in MODULE.rglob("*"):
            if file.is_file():
                target = f"{shelf}/embed/{file.relative_to(MODULE)}"
                tf.io.gfile.makedirs(target.rpartition("/")[0])
                tf.io.gfile.copy(str(file), target)
        return f"{shelf}/embed"

    @pytest.fixture
    def archive(self, shelf, archive):
        tf.io.gfile.copy(str(archive), f"{shelf}/embed.tar.gz")
        return f"{shelf}/embed.tar.gz"

    @pytest.mark.parametrize("load_format", ["", "AUTO", "UNCOMPRESSED"])
    def test_folder_is_read_in_place(self, folder, load_format, monkeypatch):
        monkeypatch.setenv("TFHUB_MODEL_LOAD_FORMAT", load_format)
        assert hub.resolve(folder) == folder
        assert cache_entries.entries() == []
        files = hub.load_module_spec(folder).files
        assert files.checkpoint == f"{folder}/variables/variables"
        assert files.assets == {"zoo_vocab_1.txt": f"{folder}/assets/zoo_vocab_1.txt"}

    def test_folder_is_copied_on_demand(self, folder, monkeypatch):
        monkeypatch.setenv("TFHUB_MODEL_LOAD_FORMAT", "COMPRESSED")
        path = hub.resolve(folder)
        assert same_files(path)
        assert path == cache_entries.lookup(folder)

    def test_archive_is_unpacked(self, archive):
        path = hub.resolve(archive)
        assert same_files(path)
        tf.io.gfile.remove(archive)
        assert hub.resolve(archive) == path

    def test_checksum(self, archive, folder):
        assert "another checksum" in failure(hub.ArchiveError, archive, sha256="0" * 64)
        assert "without its archive" in failure(hub.HandleError, folder, sha256="0" * 64)

    def test_nothing_there(self, shelf):
        assert "no folder at this URL" in failure(hub.HandleError, f"{shelf}/absent")
        message = failure(hub.DownloadError, f"{shelf}/absent.tar.gz")
        assert f"Expected: to read {shelf}/absent.tar.gz" in message

    def test_where_a_server_says(self, folder, server, monkeypatch):
        monkeypatch.setenv("TFHUB_MODEL_LOAD_FORMAT", "UNCOMPRESSED")
        url = server.serve("/embed", Answer(folder.encode(), status=303))
        assert hub.resolve(url) == folder
        assert server.asked == ["/embed?tf-hub-format=uncompressed"]

    @pytest.mark.parametrize("place", [str(MODULE), MODULE.as_uri(), "http://127.0.0.1:1/m"])
    def test_a_server_opens_no_files_of_this_machine(self, place, server, monkeypatch):
        monkeypatch.setenv("TFHUB_MODEL_LOAD_FORMAT", "UNCOMPRESSED")
        url = server.serve("/embed", Answer(place.encode(), status=303))
        assert place in failure(hub.DownloadError, url)

    def test_cached_module_comes_first(self, server, monkeypatch):
        url = server.serve("/embed", archive_of(MODULE))
        path = hub.resolve(url)
        monkeypatch.setenv("TFHUB_MODEL_LOAD_FORMAT", "UNCOMPRESSED")
        assert hub.resolve(url) == path
        assert len(server.asked) == 1

    def test_unknown_format(self, folder, monkeypatch):
        monkeypatch.setenv("TFHUB_MODEL_LOAD_FORMAT", "ZIPPED")
        with pytest.raises(hub.HandleError) as caught:
            hub.resolve(folder)
        assert "AUTO, COMPRESSED, UNCOMPRESSED" in str(caught.value)
        assert "Found: 'ZIPPED'" in str(caught.value)


class TestKaggle:
    HANDLE = "google/nnlm/tensorFlow1/en-dim128/1"
    PAGE = "https://www.kaggle.com/models/google/nnlm/frameworks/TensorFlow1/variations/en-dim128/versions/1"

    @pytest.fixture
    def kagglehub(self, monkeypatch, tmp_path):
        """A module in its place, with one module on its shelf; notes its calls."""
        fake = types.ModuleType("kagglehub")
        fake.folder = tmp_path / "kagglehub" / "1"
        fake.calls = []

        def model_download(handle, path=None, *, force_download=False):
            fake.calls.append((handle, force_download))
            if handle.startswith("google/absent"):
                raise LookupError("404 for https://www.kaggle.com/api?token=abc")
            if force_download or not fake.folder.exists():
                shutil.rmtree(fake.folder, ignore_errors=True)
                shutil.copytree(MODULE, fake.folder)
            return str(fake.folder)

        fake.model_download = model_download
        monkeypatch.setitem(sys.modules, "kagglehub", fake)
        return fake

    @pytest.mark.parametrize("handle", [HANDLE, HANDLE.replace("tensorF", "TensorF"), PAGE])
    def test_is_asked(self, kagglehub, handle):
        assert hub.resolve(handle) == str(kagglehub.folder)
        assert kagglehub.calls == [(self.HANDLE, False)]

    def test_newest_version(self, kagglehub):
        hub.resolve("google/nnlm/tensorFlow1/en-dim128")
        assert kagglehub.calls == [("google/nnlm/tensorFlow1/en-dim128", False)]

    def test_broken_copy_is_fetched_again(self, kagglehub):
        hub.resolve(self.HANDLE)
        (kagglehub.folder / "saved_model.pb").unlink()
        assert same_files(hub.resolve(self.HANDLE))
        assert kagglehub.calls[1:] == [(self.HANDLE, False), (self.HANDLE, True)]

    @pytest.mark.parametrize("handle", [HANDLE, PAGE])
    def test_is_not_installed(self, handle, monkeypatch):
        monkeypatch.setitem(sys.modules, "kagglehub", None)
        message = failure(hub.HandleError, handle)
        assert "kagglehub is not installed" in message
        assert "pip install 'hub_keras_bridge[kaggle]'" in message
        assert f"https://www.kaggle.com/models/{self.HANDLE}" in message

    def test_fails(self, kagglehub):
        message = failure(hub.DownloadError, "google/absent/tensorFlow1/en-dim128/1")
        assert "Found: LookupError: 404 for https://www.kaggle.com/api?token=***" in message

    def test_page_of_no_variation(self, kagglehub):
        message = failure(hub.HandleError, "https://www.kaggle.com/models/google/nnlm")
        assert "this page is not a model's" in message
        assert kagglehub.calls == []

    def test_no_module(self, kagglehub, monkeypatch):
        kagglehub.model_download = lambda handle, force_download=False: str(ZOO / "mlp_bn")
        assert "saved_model.pb is missing" in failure(hub.DownloadError, self.HANDLE)

    def test_has_no_checksum(self, kagglehub):
        failure(hub.HandleError, self.HANDLE, sha256="0" * 64)
        assert kagglehub.calls == []

    def test_path_of_that_name_wins(self, kagglehub, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / self.HANDLE).mkdir(parents=True)
        assert hub.resolve(self.HANDLE) == self.HANDLE
        assert kagglehub.calls == []

    @pytest.mark.parametrize(
        "path", ["a/b/c/d", "models/embed/1", "a/b/pyTorch/c", "/a/b/tensorFlow1/c"]
    )
    def test_a_path_that_is_not_there_is_no_handle(self, kagglehub, path):
        assert "there is no such directory" in failure(hub.HandleError, path)
        assert kagglehub.calls == []

    def test_page_in_an_old_cache(self, kagglehub):
        place = cache_entries.entry_of(self.PAGE).path
        shutil.copytree(MODULE, place)
        assert hub.resolve(self.PAGE) == place
        assert kagglehub.calls == []

    def test_real_library_takes_what_it_is_passed(self):
        """The newest kagglehub parses the handles and has the arguments."""
        import inspect

        import kagglehub
        from kagglehub.handle import parse_model_handle

        assert str(parse_model_handle(self.HANDLE)) == self.HANDLE
        assert {"handle", "force_download"} <= set(
            inspect.signature(kagglehub.model_download).parameters
        )


@pytest.mark.parametrize("load_format", ["AUTO", "UNCOMPRESSED"])
@pytest.mark.parametrize("handle", ["http://", "http://[::1", "https:///m"])
def test_no_url(handle, load_format, monkeypatch):
    monkeypatch.setenv("TFHUB_MODEL_LOAD_FORMAT", load_format)
    assert "its handle is no URL" in failure(hub.DownloadError, handle)


class TestMirrorOfTfhubDev:
    """By a proxy; the original asked for the same."""

    HANDLE = "http://hub.tensorflow.google.cn/google/nnlm-en-dim128/1"
    ARCHIVE = "http://gcs.tensorflow.google.cn/tfhub-modules/google/nnlm-en-dim128/1.tar.gz"

    @pytest.fixture
    def web(self, server, monkeypatch):
        monkeypatch.setenv("HTTP_PROXY", server.url())
        monkeypatch.delenv("NO_PROXY", raising=False)
        return server

    def test_archive_and_where_it_is_kept(self, web):
        web.serve(self.ARCHIVE, archive_of(MODULE))
        path = hub.resolve(self.HANDLE)
        assert same_files(path)
        assert web.asked == [self.ARCHIVE]
        assert pathlib.Path(path).name == hashlib.sha1(self.HANDLE.encode()).hexdigest()
        assert hub.resolve(self.HANDLE) == path
        assert len(web.asked) == 1

    def test_uncompressed(self, web, monkeypatch):
        monkeypatch.setenv("TFHUB_MODEL_LOAD_FORMAT", "UNCOMPRESSED")
        web.serve(self.HANDLE, Answer(b"ram://absent/module", status=303))
        with pytest.raises(hub.HandleError, match="no folder at this URL"):
            hub.resolve(self.HANDLE)
        assert web.asked == [f"{self.HANDLE}?tf-hub-format=uncompressed"]

    def test_not_there(self, web):
        web.serve(self.ARCHIVE, Answer(b"", status=404))
        assert "on kaggle.com/models now" in failure(hub.DownloadError, self.HANDLE)


class TestTfhubDev:
    """By a proxy that plays tfhub.dev, which redirects to pages on Kaggle."""

    HANDLE = "http://tfhub.dev/google/nnlm-en-dim128/1"

    @pytest.fixture
    def web(self, server, monkeypatch):
        monkeypatch.setenv("HTTP_PROXY", server.url())
        server.serve(self.HANDLE, redirect(TestKaggle.PAGE, 301))
        return server

    kagglehub = TestKaggle.kagglehub

    def test_goes_on_to_kaggle_and_is_kept(self, web, kagglehub):
        path = hub.resolve(self.HANDLE)
        assert same_files(path)
        assert kagglehub.calls == [(TestKaggle.HANDLE, False)]
        assert path == cache_entries.lookup(self.HANDLE)
        assert hub.resolve(self.HANDLE) == path
        assert web.asked == [f"{self.HANDLE}?tf-hub-format=compressed"]
        assert len(kagglehub.calls) == 1

    def test_old_cache_comes_first(self, web, kagglehub):
        place = cache_entries.entry_of(self.HANDLE).path
        shutil.copytree(MODULE, place)
        assert hub.resolve(self.HANDLE) == place
        assert web.asked == kagglehub.calls == []

    def test_without_kagglehub(self, web, monkeypatch):
        monkeypatch.setitem(sys.modules, "kagglehub", None)
        message = failure(hub.HandleError, self.HANDLE)
        assert "pip install 'hub_keras_bridge[kaggle]'" in message
        assert TestKaggle.HANDLE in message
        assert cache_entries.entries() == []

    def test_that_still_serves_archives(self, web, kagglehub):
        web.serve(self.HANDLE, archive_of(MODULE))
        assert same_files(hub.resolve(self.HANDLE))
        assert kagglehub.calls == []


class TestTable:
    def test_unknown_scheme(self):
        message = failure(hub.HandleError, "ftp://example.com/embed")
        assert "scheme 'ftp'" in message
        assert all(resolver.kind in message for resolver in hub.RESOLVERS)
        assert "add a Resolver to hub_keras_bridge.RESOLVERS" in message

    def test_can_be_added_to(self, archive):
        """A scheme whose modules are archives, fetched by a function of the user's."""
        fetched = []

        def find(handle, sha256):
            def fetch(file):
                fetched.append(handle)
                shutil.copy(archive.parent / handle.removeprefix("shelf://"), file)

            return hub.cached_archive(handle, fetch, sha256)

        resolver = hub.Resolver("shelf://", lambda handle: handle.startswith("shelf://"), find)
        hub.RESOLVERS.insert(0, resolver)
        try:
            handle = f"shelf://{archive.name}"
            assert hub.ModuleLayer(handle)(["a"]).shape == (1, 16)
            assert same_files(hub.resolve(handle))
            assert fetched == [handle]
            message = failure(hub.DownloadError, "shelf://absent.tar.gz")
            assert "No such file or directory" in message
            assert "another checksum" in failure(hub.ArchiveError, handle, sha256="0" * 64)
        finally:
            hub.RESOLVERS.remove(resolver)
