"""What may pass is tried again, and that is said."""

import socket
import time

import pytest

from helpers.downloads import BODY, failure, fetch
from helpers.http_server import Answer, Server
from hub_keras_bridge.files.fetch import retrying, session

pytestmark = pytest.mark.usefixtures("quick_and_alone")


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


class TestOnce:
    """What rarely passes is tried once more."""

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
