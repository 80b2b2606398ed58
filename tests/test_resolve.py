"""Handles and the directories they stand for."""

import pathlib

import pytest

import hub_keras_bridge as hub


def test_paths_and_file_urls():
    assert hub.resolve("/modules/embed") == "/modules/embed"
    assert hub.resolve(pathlib.Path("/modules/embed")) == "/modules/embed"
    assert hub.resolve("relative/embed") == "relative/embed"
    assert hub.resolve("file:///modules/my%20embed") == "/modules/my embed"


def test_unknown_scheme():
    with pytest.raises(hub.HandleError) as caught:
        hub.resolve("ftp://example.com/embed")
    assert "scheme 'ftp'" in str(caught.value)
    assert "ftp://example.com/embed" in str(caught.value)
    assert "pass its folder" in str(caught.value)
