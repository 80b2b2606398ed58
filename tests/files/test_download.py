"""Downloads from a real server that has its faults."""

import io
import subprocess
import sys

import pytest

import hub_keras_bridge as hub
from helpers.downloads import BODY, failure, fetch
from helpers.http_server import Answer, Server, redirect
from hub_keras_bridge.errors import Subject
from hub_keras_bridge.files.fetch import download as download_module
from hub_keras_bridge.files.fetch.download import location

pytestmark = pytest.mark.usefixtures("quick_and_alone")


@pytest.mark.parametrize("has_length", [True, False])
def test_a_file(server, target, has_length):
    url = server.serve("/m", Answer(BODY, has_length=has_length))
    assert fetch(url, target) == url
    assert target.read_bytes() == BODY
    ((_, headers),) = server.requests
    assert headers["Accept-Encoding"] == "identity"
    assert headers["User-Agent"].startswith("hub_keras_bridge/")


def test_a_compressed_answer_is_kept_as_it_is_on_the_server(server, target):
    fetch(server.serve("/m", Answer(BODY, headers={"Content-Encoding": "gzip"})), target)
    assert target.read_bytes() == BODY


class TestWhatDoesNotPass:
    @pytest.mark.parametrize(
        ("status", "advice"),
        [
            (403, "name a user in ~/.netrc"),
            (404, "on kaggle.com/models now"),
            (418, "check the handle"),
            (204, "check the handle"),
        ],
    )
    def test_status(self, server, target, status, advice):
        message = failure(server.serve("/m", Answer(status=status)), target)
        assert f"Expected: status 200 from {server.url('/m')}" in message
        assert f"Found: status {status}" in message
        assert advice in message
        assert len(server.requests) == 1

    def test_nobody_listens(self, target):
        with Server() as gone:
            url = gone.url("/m")
        message = failure(url, target)
        assert f"Expected: an answer from {url}" in message
        assert "Connection refused" in message
        assert "offline, pass the module's folder" in message

    @pytest.mark.parametrize(
        "url",
        [
            "https://tfhub.dev/google/elmo/2",
            "https://hub.tensorflow.google.cn/google/elmo/2",
            "https://gcs.tensorflow.google.cn/tfhub-modules/google/elmo/2.tar.gz",
        ],
    )
    def test_tfhub_dev_is_gone(self, url, target, monkeypatch):
        with Server() as gone:
            monkeypatch.setenv("HTTPS_PROXY", gone.url())
        message = failure(url, target)
        assert f"Expected: an answer from {url}" in message
        assert "on kaggle.com/models now" in message

    @pytest.mark.parametrize("url", ["http://", "http://[::1", "http:///m"])
    def test_no_url(self, target, url):
        assert f"Found: {url} (" in failure(url, target)

    def test_full_disk(self, server, target, monkeypatch):
        def full(path, mode):
            assert path == str(target)
            return open("/dev/full", mode)

        monkeypatch.setattr(download_module, "open", full, raising=False)
        message = failure(server.serve("/m", BODY), target)
        assert f"Expected: to write {len(BODY)} bytes from {server.url('/m')}" in message
        assert "No space left on device" in message
        assert "TFHUB_CACHE_DIR" in message


class TestSecrets:
    def test_go_to_the_server_and_nowhere_else(self, server, target):
        url = server.serve("/m", Answer(status=403))
        with pytest.raises(hub.DownloadError) as caught:
            fetch(url.replace("://", "://me:pass@"), target)
        assert server.requests[0][1]["Authorization"] == "Basic bWU6cGFzcw=="
        error = caught.value
        while error is not None:
            assert "pass" not in str(error).replace("pass its file", "")
            error = error.__cause__ or error.__context__

    def test_no_server(self, target):
        with Server() as gone:
            url = gone.url("/m?token=tell-nobody", host="me:pass@127.0.0.1")
        message = failure(url, target)
        assert gone.url("/m?token=***") in message
        assert "pass" not in message.replace("pass the module", "")
        assert "tell-nobody" not in message

    def test_not_to_the_server_of_a_redirect(self, server, target):
        server.serve("/there", BODY)
        url = server.serve("/m", redirect(server.url("/there", host="localhost")))
        fetch(url.replace("://", "://me:pass@"), target)
        assert ["Authorization" in headers for _, headers in server.requests] == [True, False]


class TestLocation:
    def test_is_what_the_server_says(self, server):
        url = server.serve("/m", Answer(b"gs://bucket/m\n", status=303))
        assert location(url, Subject()) == "gs://bucket/m"

    @pytest.mark.parametrize(
        ("answer", "found"),
        [
            (Answer(b"<html>Sign in at https://example.org</html>"), "status 200 and '<html>"),
            (Answer(b"", status=204), "status 204 and ''"),
            (Answer(b"", status=404), "status 404"),
        ],
    )
    def test_is_not_said(self, server, answer, found):
        url = server.serve("/m", answer)
        with pytest.raises(hub.DownloadError) as caught:
            location(url, Subject())
        assert found in str(caught.value)
        assert url in str(caught.value)


class TestProgress:
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    @pytest.fixture
    def shown(self, server, target, monkeypatch):
        """What is on stderr after a download."""

        def shown(stderr, wish=None):
            monkeypatch.setattr(sys, "stderr", stderr)
            monkeypatch.setenv("TERM", "xterm")
            if wish is not None:
                monkeypatch.setenv("TFHUB_DOWNLOAD_PROGRESS", wish)
            fetch(server.serve("/embed.tar.gz", BODY), target)
            return stderr.getvalue()

        monkeypatch.delenv("TFHUB_DOWNLOAD_PROGRESS", raising=False)
        return shown

    def test_on_a_terminal(self, shown):
        assert "embed.tar.gz" in shown(self.Terminal())

    def test_none_elsewhere(self, shown):
        assert shown(io.StringIO()) == ""

    def test_none_on_a_terminal_that_wants_none(self, shown):
        assert shown(self.Terminal(), "0") == ""

    def test_elsewhere_on_demand(self, shown):
        told = shown(io.StringIO(), "1")
        assert "embed.tar.gz" in told
        assert "10.2/10.2 kB" in told


def test_importing_configures_nothing():
    code = (
        "import hub_keras_bridge_cli\n"
        "import logging, os, sys, warnings\n"
        "before = dict(os.environ), list(warnings.filters), list(logging.root.handlers)\n"
        "import hub_keras_bridge.files.fetch.resolve\n"
        "after = dict(os.environ), list(warnings.filters), list(logging.root.handlers)\n"
        "assert before[0] == after[0] and before[2] == after[2]\n"
        "assert not [m for m in ('tensorflow', 'keras', 'rich', 'kagglehub') if m in sys.modules]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
