"""Shared by all tests: quiet TensorFlow, deterministic seeds, golden data."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import pytest

import hub_keras_bridge as hub
from helpers.golden import Golden, scale_fn


def forget_session():
    try:
        # A collection of garbage per test takes longer than the tests.
        keras.backend.clear_session(free_memory=False)
    except TypeError:  # Keras before 3.4
        keras.backend.clear_session()


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(0)
    yield
    forget_session()


@pytest.fixture
def golden():
    return Golden


@pytest.fixture
def publish(tmp_path):
    """Publishes a module_fn into a fresh folder; returns its path."""
    count = 0

    def publish(module_fn, tags_and_args=None):
        nonlocal count
        count += 1
        path = tmp_path / f"published_{count}"
        spec = hub.create_module_spec(module_fn, tags_and_args)
        hub.ModuleLayer(spec, tags=spec.get_tags()[0]).export_module(path)
        return str(path)

    return publish


@pytest.fixture
def scale_spec():
    return hub.create_module_spec(scale_fn)


@pytest.fixture
def scale_path(publish):
    return publish(scale_fn)
