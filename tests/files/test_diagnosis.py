"""What is said of a folder or file that is no module."""

import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.folders import copy_of_a_module, message_of


@pytest.fixture
def module(tmp_path):
    return copy_of_a_module(tmp_path / "module")


def test_files_that_are_something_else(tmp_path):
    with tf.Graph().as_default() as graph:
        tf.constant(1.0)
    (tmp_path / "frozen.pb").write_bytes(graph.as_graph_def().SerializeToString())
    assert "Found: a frozen graph" in message_of(tmp_path / "frozen.pb")[1]
    (tmp_path / "notes.txt").write_bytes(b"x")
    assert "Found: a file" in message_of(tmp_path / "notes.txt")[1]


def test_tf2_saved_model(tmp_path):
    """It has no spec; a layer and hub.load take it."""
    tf.saved_model.save(tf.Module(), str(tmp_path))
    with pytest.raises(hub.FormatError) as caught:
        hub.load_module_spec(tmp_path)
    assert "a TF2 SavedModel" in str(caught.value)
    assert "hub.load or hub.ModuleLayer" in str(caught.value)


def test_tf1_saved_model(tmp_path, module):
    """It has no spec unless one is made of it; a layer and hub.load take it."""
    (module / "tfhub_module.pb").unlink()
    with pytest.raises(hub.FormatError) as caught:
        hub.load_module_spec(module)
    assert "a TF1 SavedModel" in str(caught.value)
    assert "hub.load or hub.ModuleLayer" in str(caught.value)
    assert "hub.create_module_spec_from_saved_model" in str(caught.value)


def test_frozen_graph(tmp_path):
    with tf.Graph().as_default() as graph:
        tf.constant(1.0)
    (tmp_path / "frozen.pb").write_bytes(graph.as_graph_def().SerializeToString())
    assert "a frozen graph (frozen.pb)" in message_of(tmp_path)[1]


def test_some_other_folder(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    assert "Found: notes.txt" in message_of(tmp_path)[1]


def test_damaged_saved_model(module):
    (module / "tfhub_module.pb").unlink()
    (module / "saved_model.pb").write_bytes(b"\xff\xff\xff garbage")
    with pytest.raises(hub.FormatError, match="Found: a damaged SavedModel"):
        hub.load_module_spec(module)
