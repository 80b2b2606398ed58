"""Downloads, and what is said of those that fail."""

import pytest

import hub_keras_bridge as hub
from helpers.places import TESTS
from hub_keras_bridge.errors import Subject
from hub_keras_bridge.files.fetch.download import download

CERTIFICATE = str(TESTS / "helpers" / "http_server.pem")
BODY = bytes(range(256)) * 40


def fetch(url, target):
    return download(url, str(target), Subject("the handle"))


def failure(url, target):
    with pytest.raises(hub.DownloadError) as caught:
        fetch(url, target)
    assert "In: module 'the handle'" in str(caught.value)
    assert "What to do: " in str(caught.value)
    return str(caught.value)
