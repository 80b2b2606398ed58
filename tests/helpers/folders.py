"""Folders of modules, to be damaged, and what is said of them."""

import shutil

import pytest

import hub_keras_bridge as hub
from helpers.places import ZOO


def copy_of_a_module(path):
    """Copies a golden module with a vocabulary; returns the path."""
    shutil.copytree(ZOO / "text_embed" / "module", path)
    return path


def message_of(path):
    """The kind of error that a layer of what is at a path ends in, and its text."""
    with pytest.raises(hub.HubError) as caught:
        hub.ModuleLayer(path)
    text = str(caught.value)
    assert str(path) in text
    assert "What to do: " in text
    return type(caught.value), text
