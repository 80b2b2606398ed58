"""Downloads from a real server that has its faults."""

import io
import socket
import subprocess
import sys
import time

import pytest

import hub_keras_bridge as hub
from helpers.http_server import Answer, Server, redirect
from helpers.places import TESTS
from hub_keras_bridge.errors import Subject
from hub_keras_bridge.files.fetch import download as download_module
from hub_keras_bridge.files.fetch import retrying, session
from hub_keras_bridge.files.fetch.download import download, location

CERTIFICATE = str(TESTS / "helpers" / "http_server.pem")
BODY = bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def _quick_and_alone(monkeypatch):
    monkeypatch.setattr(retrying, "BACKOFF", 0.001)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "TFHUB_DISABLE_CERT_VALIDATION"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    with Server() as server:
        yield server


@pytest.fixture
def tls_server():
    with Server(CERTIFICATE) as server:
        yield server


@pytest.fixture
def target(tmp_path):
    return tmp_path / "file"


def fetch(url, target):
    return download(url, str(target), Subject("the handle"))


def failure(url, target):
    with pytest.raises(hub.DownloadError) as caught:
        fetch(url, target)
    assert "In: module 'the handle'" in str(caught.value)
    assert "What to do: " in str(caught.value)
    return str(caught.value)


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


class TestWhatMayPass:
    @pytest.mark.parametrize("cut", [0, 1, len(BODY) - 1])
    def test_body_that_is_cut_once(self, server, target, cut):
        fetch(server.serve("/m", Answer(BODY, cut=cut), BODY), target)
        assert target.read_bytes() == BODY
        assert len(server.requests) == 2

    def test_body_that_is_cut_each_time(self, server, target):
        message = failure(server.serve("/m", Answer(BODY, cut=77)), target)
        assert "the answer breaks off, each time" in message
        assert f"Expected: {len(BODY)} bytes from {server.url('/m')}" in message
        assert (
            f"Found: 77 bytes, then IncompleteRead(77 bytes read, {len(BODY) - 77} more" in message
        )
        assert f", {retrying.RETRIES + 1} times" in message
        assert len(server.requests) == retrying.RETRIES + 1

    def test_body_that_is_cut_again_and_again_is_given_time(self, server, target, monkeypatch):
        monkeypatch.setattr(retrying, "BACKOFF", 0.15)
        cut = Answer(BODY, cut=1)
        begin = time.monotonic()
        fetch(server.serve("/m", cut, cut, BODY), target)
        assert time.monotonic() - begin >= 0.3  # at once, then after twice BACKOFF

    def test_body_that_stands_still(self, server, target, monkeypatch):
        monkeypatch.setattr(session, "TIMEOUTS", (1.0, 0.1))
        fetch(server.serve("/m", Answer(BODY, pauses=0.3), BODY), target)
        assert target.read_bytes() == BODY

    def test_slow_body_takes_its_time(self, server, target, monkeypatch):
        monkeypatch.setattr(session, "TIMEOUTS", (1.0, 0.2))
        fetch(server.serve("/m", Answer(BODY, pauses=0.05)), target)
        assert target.read_bytes() == BODY
        assert len(server.requests) == 1

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    def test_status(self, server, target, status):
        fetch(server.serve("/m", Answer(status=status), Answer(status=status), BODY), target)
        assert target.read_bytes() == BODY

    def test_waits_as_long_as_the_server_asks(self, server, target):
        busy = Answer(status=503, headers={"Retry-After": "1"})
        begin = time.monotonic()
        fetch(server.serve("/m", busy, BODY), target)
        assert time.monotonic() - begin >= 1

    def test_waits_within_reason(self, server, target, monkeypatch):
        monkeypatch.setattr(retrying, "LONGEST_WAIT", 0.01)
        busy = Answer(status=503, headers={"Retry-After": "86400"})
        fetch(server.serve("/m", busy, BODY), target)
        assert target.read_bytes() == BODY

    def test_wait_that_is_no_time(self, server, target):
        busy = Answer(status=503, headers={"Retry-After": "soon"})
        fetch(server.serve("/m", busy, BODY), target)
        assert target.read_bytes() == BODY

    def test_status_that_stays(self, server, target):
        message = failure(server.serve("/m", Answer(status=503)), target)
        assert f"Expected: status 200 from {server.url('/m')}" in message
        assert "Found: status 503 Service Unavailable" in message
        assert f"try again later; {retrying.RETRIES} retries" in message
        assert len(server.requests) == retrying.RETRIES + 1


class TestWhatIsSaidOfRetries:
    """In the log, in words of this package: what urllib3 would say stays out."""

    @pytest.mark.parametrize(
        ("answer", "problem"),
        [
            (Answer(status=503), "status 503"),
            (Answer(BODY, cut=77), "77 bytes, then IncompleteRead"),
            (Answer(status=503, headers={"Retry-After": "1"}), "status 503"),
        ],
    )
    def test_why_and_when(self, server, target, caplog, answer, problem):
        url = server.serve("/m", answer, BODY)
        fetch(f"{url}?token=tell-nobody", target)
        (record,) = caplog.records
        assert record.name == "absl"
        assert record.getMessage().startswith(f"{url}?token=***: {problem}")
        when = "in 1 s" if "Retry-After" in answer.headers else "now"
        assert record.getMessage().endswith(f". Trying again {when}.")

    def test_waits_grow(self, server, target, caplog, monkeypatch):
        monkeypatch.setattr(time, "sleep", lambda seconds: waits.append(seconds))
        monkeypatch.setattr(retrying, "BACKOFF", 0.5)
        waits = []
        failure(server.serve("/m", Answer(status=503)), target)
        assert waits == [0.0, 1.0, 2.0, 4.0, 8.0]
        said = [record.getMessage().partition("Trying again ")[2] for record in caplog.records]
        assert said == ["now.", "in 1 s.", "in 2 s.", "in 4 s.", "in 8 s."]


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

    def test_nobody_listens_is_tried_once_more_at_once(self, target, monkeypatch, caplog):
        monkeypatch.setattr(retrying, "BACKOFF", 60.0)
        with Server() as gone:
            url = gone.url("/m")
        failure(url, target)
        (record,) = caplog.records
        assert record.getMessage().startswith(f"{url}: Failed to establish a new connection")
        assert record.getMessage().endswith("Connection refused. Trying again now.")

    def test_name_that_nobody_knows_is_tried_once_more_at_once(self, target, monkeypatch):
        asked = []

        def look_up(host, *_):
            asked.append(host)
            raise socket.gaierror(-2, "Name or service not known")

        monkeypatch.setattr(retrying, "BACKOFF", 60.0)
        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        message = failure("https://example.invalid/m", target)
        assert "Found: Failed to resolve 'example.invalid'" in message
        assert asked == ["example.invalid"] * 2

    def test_untrusted_certificate_is_tried_once_more(self, tls_server, target, caplog):
        failure(tls_server.serve("/m", BODY), target)
        assert len(caplog.records) == 1

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


class TestRedirects:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_are_followed(self, server, target, status):
        there = server.serve("/there", BODY)
        url = server.serve("/m", redirect("/between?a=b", status))
        server.serve("/between", redirect(there, status))
        assert fetch(url, target) == there
        assert target.read_bytes() == BODY
        assert server.asked == ["/m", "/between?a=b", "/there"]

    def test_error_names_the_url_finally_asked(self, server, target):
        url = server.serve("/m", redirect("/gone"))
        assert f"status 200 from {server.url('/gone')}" in failure(url, target)

    def test_loop(self, server, target):
        url = server.serve("/m", redirect("/again"))
        again = server.serve("/again", redirect("/m"))
        message = failure(url, target)
        assert f"more than {session.MAX_REDIRECTS} redirects" in message
        assert url in message or again in message
        assert len(server.requests) == session.MAX_REDIRECTS + 1

    def test_stop_where_somebody_else_goes_on(self, server, target):
        url = server.serve("/m", redirect("/page"))
        page = server.url("/page")
        assert download(url, str(target), Subject(), stop_at=lambda u: u == page) == page
        assert not target.exists()
        assert server.asked == ["/m"]

    def test_not_from_https_to_http(self, server, tls_server, target, monkeypatch):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", CERTIFICATE)
        there = server.serve("/there", BODY)
        url = tls_server.serve("/m", redirect(there))
        message = failure(url, target)
        assert f"{url} redirects to {there}" in message
        assert server.requests == []
        assert not target.exists()

    def test_from_http_to_https(self, server, tls_server, target, monkeypatch):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", CERTIFICATE)
        there = tls_server.serve("/there", BODY)
        assert fetch(server.serve("/m", redirect(there)), target) == there


class TestCertificates:
    def test_unknown(self, tls_server, target):
        url = tls_server.serve("/m", BODY)
        message = failure(url, target)
        assert "the connection is not to be trusted" in message
        assert "CERTIFICATE_VERIFY_FAILED" in message
        assert url in message
        assert "REQUESTS_CA_BUNDLE" in message
        assert tls_server.requests == []

    def test_bundle(self, tls_server, target, monkeypatch):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", CERTIFICATE)
        fetch(tls_server.serve("/m", BODY), target)
        assert target.read_bytes() == BODY

    @pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
    def test_switch(self, tls_server, target, monkeypatch):
        url = tls_server.serve("/m", BODY)
        monkeypatch.setenv("TFHUB_DISABLE_CERT_VALIDATION", "false")
        failure(url, target)
        monkeypatch.setenv("TFHUB_DISABLE_CERT_VALIDATION", "true")
        fetch(url, target)
        assert target.read_bytes() == BODY


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


def test_proxy(server, target, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", server.url())
    server.serve("http://example.org/m", BODY)
    assert fetch("http://example.org/m", target) == "http://example.org/m"
    assert target.read_bytes() == BODY
    assert server.asked == ["http://example.org/m"]


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
