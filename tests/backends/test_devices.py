"""TensorFlow takes no GPU that the framework needs which Keras computes with."""

import keras
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.backends import BACKEND
from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.running import devices

GPUS = ["GPU:0", "GPU:1"]


@pytest.fixture
def seen(monkeypatch):
    """The GPUs that TensorFlow sees: two before it starts, beside JAX."""
    seen = list(GPUS)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(private_tf, "runs_eagerly", lambda: False)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: GPUS)
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: seen)
    monkeypatch.setattr(
        tf.config, "set_visible_devices", lambda chosen, kind: seen.__setitem__(slice(None), chosen)
    )
    return seen


def test_they_are_hidden(seen):
    devices.leave_gpus()
    assert seen == []


def test_not_from_tensorflow_itself(seen, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    devices.leave_gpus()
    assert seen == GPUS


def test_not_once_tensorflow_has_started(seen, monkeypatch):
    monkeypatch.setattr(private_tf, "runs_eagerly", lambda: True)
    devices.leave_gpus()
    assert seen == GPUS


def test_not_where_a_program_has_chosen(seen):
    del seen[1:]
    devices.leave_gpus()
    assert seen == GPUS[:1]


@pytest.mark.parametrize(("value", "left"), [("1", GPUS), ("0", [])])
def test_as_the_variable_says(value, left, seen, monkeypatch):
    monkeypatch.setenv(devices.VARIABLE, value)
    devices.leave_gpus()
    assert seen == left


@pytest.mark.parametrize(
    "begin",
    [
        pytest.param(lambda path: hub.ModuleLayer(path), id="a layer"),
        pytest.param(lambda path: hub.load(path), id="load"),
        pytest.param(lambda path: hub.compile(path, engine="tensorflow"), id="compile"),
    ],
)
def test_before_whatever_begins(begin, scale_path, monkeypatch):
    def leave():
        raise _LeftError

    monkeypatch.setattr(devices, "leave_gpus", leave)
    with pytest.raises(_LeftError):
        begin(scale_path)


def test_before_a_saved_model_is_restored(tmp_path, monkeypatch):
    model = tf.Module()
    model.__call__ = tf.function(lambda x: 2 * x, [tf.TensorSpec([None])])
    tf.saved_model.save(model, str(tmp_path))
    left = []
    monkeypatch.setattr(devices, "leave_gpus", lambda: left.append(True))
    hub.load(str(tmp_path))
    assert left


@pytest.mark.skipif(BACKEND == "tensorflow", reason="TensorFlow sees what there is")
def test_none_is_seen(scale_path):
    hub.ModuleLayer(scale_path)
    assert tf.config.list_logical_devices("GPU") == []


class _LeftError(Exception):
    """GPUs are left before anything else."""
