"""saved_model.pb: read once, told apart, and damaged."""

import hashlib

import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.saved_models import Reusable
from hub_keras_bridge.errors import Subject
from hub_keras_bridge.files.module_folder import is_saved_model
from hub_keras_bridge.frontends.tf2.saved_model_file import (
    SavedModelFile,
    subject_of,
    tf2_saved_model,
)

v1 = tf.compat.v1


@pytest.fixture
def folder(tmp_path):
    Reusable().save(str(tmp_path / "tf2"))
    return tmp_path / "tf2"


def test_of_tensorflow_2(folder):
    file = tf2_saved_model(str(folder), subject_of("reusable"))
    content = (folder / "saved_model.pb").read_bytes()
    assert file.identity == hashlib.sha256(content).hexdigest()
    assert file.is_of_tf2
    assert set(file.meta_graph.meta_info_def.tags) == {"serve"}
    (folder / "saved_model.pb").unlink()
    assert file.proto.ByteSize() > 0  # It was read before.


def test_of_tensorflow_1(tmp_path):
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None], name="x")
        v1.saved_model.simple_save(session, str(tmp_path / "tf1"), {"x": x}, {"y": 2 * x})
    assert is_saved_model(str(tmp_path / "tf1"))
    assert tf2_saved_model(str(tmp_path / "tf1"), Subject()) is None


def test_a_module_is_none(scale_path):
    assert not is_saved_model(scale_path)
    assert tf2_saved_model(scale_path, Subject()) is None


def test_damaged(folder):
    (folder / "saved_model.pb").write_bytes(b"\xff\xff")
    file = SavedModelFile(str(folder), subject_of("reusable"))
    assert len(file.identity) == 64
    with pytest.raises(hub.FormatError) as caught:
        tf2_saved_model(str(folder), subject_of("reusable"))
    assert caught.value.problem == "Cannot read a SavedModel: saved_model.pb is damaged."
    assert "module 'reusable'" in str(caught.value)


def test_missing(tmp_path):
    with pytest.raises(hub.FormatError, match="a serialized SavedModel message"):
        SavedModelFile(str(tmp_path), subject_of("nothing"))
