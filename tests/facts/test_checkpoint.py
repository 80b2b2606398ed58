"""Variables in and out of checkpoints."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.places import ZOO
from hub_keras_bridge.errors import Subject
from hub_keras_bridge.facts.checkpoint import Checkpoint, write_checkpoint
from hub_keras_bridge.facts.variables import VariableFacts

SUBJECT = Subject("/m")


def facts(name, shape, dtype=tf.float32, **more):
    return VariableFacts(name, more.pop("key", name), shape, dtype, True, **more)


def test_round_trip_of_dtypes(tmp_path):
    values = {
        "f32": np.float32([1.5, -2.0]),
        "f64": np.float64([[0.1]]),
        "i64": np.int64(2**40),
        "flag": np.array([True, False]),
        "c": np.complex64([1 + 2j]),
        "scope/half": np.float16([0.5]),
        "text": np.array([b"a", b"\xff"], object),
    }
    described = {n: facts(n, v.shape, tf.as_dtype(v.dtype)) for n, v in values.items()}
    prefix = str(tmp_path / "variables")
    write_checkpoint(prefix, [(described[n], tf.constant(v)) for n, v in values.items()])
    checkpoint = Checkpoint(prefix, SUBJECT)
    for name, value in values.items():
        np.testing.assert_array_equal(checkpoint.read(described[name]), value)


def test_slices_are_one_entry(tmp_path):
    full = np.arange(10, dtype=np.float32).reshape(5, 2)
    parts = [
        facts("v/part_0", (2, 2), key="v", full_shape=(5, 2), offset=(0, 0)),
        facts("v/part_1", (3, 2), key="v", full_shape=(5, 2), offset=(2, 0)),
    ]
    prefix = str(tmp_path / "variables")
    write_checkpoint(prefix, zip(parts, (full[:2], full[2:]), strict=True))
    reader = tf.train.load_checkpoint(prefix)
    assert reader.get_variable_to_shape_map() == {"v": [5, 2]}
    np.testing.assert_array_equal(reader.get_tensor("v"), full)
    np.testing.assert_array_equal(Checkpoint(prefix, SUBJECT).read(parts[1]), full[2:])


def test_path_with_wildcards(tmp_path):
    folder = tmp_path / "a[b]*?"
    folder.mkdir()
    value = facts("v", (1,))
    write_checkpoint(str(folder / "variables"), [(value, tf.constant([3.0]))])
    assert Checkpoint(str(folder / "variables"), SUBJECT).read(value).numpy() == [3.0]


@pytest.mark.parametrize(
    ("wanted", "expected", "found"),
    [
        (facts("absent", (2,)), "an entry 'absent'", "entries 'v'"),
        (facts("v", (3,)), "float32 [3]", "float32 [2]"),
        (facts("v", (2,), tf.float64), "float64 [2]", "float32 [2]"),
    ],
)
def test_absent_or_different(tmp_path, wanted, expected, found):
    prefix = str(tmp_path / "variables")
    write_checkpoint(prefix, [(facts("v", (2,)), tf.zeros(2))])
    with pytest.raises(hub.CheckpointError) as caught:
        Checkpoint(prefix, SUBJECT).read(wanted)
    assert f"Expected: {expected}" in str(caught.value)
    assert f"Found: {found}" in str(caught.value)
    assert "module '/m'" in str(caught.value)


def test_no_checkpoint(tmp_path):
    with pytest.raises(hub.CheckpointError, match="Cannot open the checkpoint"):
        Checkpoint(str(tmp_path / "variables"), SUBJECT)


def test_damaged_data(tmp_path):
    prefix = tmp_path / "variables"
    value = facts("v", (1000,))
    write_checkpoint(str(prefix), [(value, tf.ones(1000))])
    data = tmp_path / "variables.data-00000-of-00001"
    data.write_bytes(b"\0" * data.stat().st_size)
    with pytest.raises(hub.CheckpointError, match="the copy is damaged"):
        Checkpoint(str(prefix), SUBJECT).read(value)


@pytest.fixture
def module(tmp_path):
    shutil.copytree(ZOO / "mlp_bn" / "module", tmp_path / "m")
    return tmp_path / "m"


def assert_not_half_built(path, match):
    layer = hub.ModuleLayer(path, trainable=True)
    for _ in range(2):
        with pytest.raises(hub.CheckpointError, match=match):
            layer.build()
        assert not layer.built
        assert layer.weights == []


def test_module_without_one_of_its_variables(module):
    prefix = str(module / "variables" / "variables")
    spec = hub.load_module_spec(module)
    checkpoint = Checkpoint(prefix, SUBJECT)
    values = [(f, checkpoint.read(f)) for f in spec.variables]
    write_checkpoint(prefix, values[:-1])
    assert_not_half_built(module, f"Cannot restore variable '{values[-1][0].name}'")
    write_checkpoint(prefix, values)
    hub.ModuleLayer(module).build()


def test_module_with_damaged_data(module):
    data = module / "variables" / "variables.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[-2000:] = bytes(2000)
    data.write_bytes(content)
    assert_not_half_built(module, "the copy is damaged")
