"""From the URL that was asked for to the server that answers."""

import pytest

from helpers.downloads import BODY, CERTIFICATE, failure, fetch
from helpers.http_server import redirect
from hub_keras_bridge.errors import Subject
from hub_keras_bridge.files.fetch import session
from hub_keras_bridge.files.fetch.download import download

pytestmark = pytest.mark.usefixtures("quick_and_alone")


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


def test_proxy(server, target, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", server.url())
    server.serve("http://example.org/m", BODY)
    assert fetch("http://example.org/m", target) == "http://example.org/m"
    assert target.read_bytes() == BODY
    assert server.asked == ["http://example.org/m"]
