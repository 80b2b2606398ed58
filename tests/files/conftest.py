"""A real server that has its faults, and where what comes from it goes."""

import pytest

from helpers.downloads import CERTIFICATE
from helpers.http_server import Server
from hub_keras_bridge.files.fetch import retrying


@pytest.fixture
def quick_and_alone(monkeypatch):
    """Retries without long waits, and no proxies or certificates of whoever runs the tests."""
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
