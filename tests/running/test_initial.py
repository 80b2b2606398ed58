"""The values that variables start from: which, in what order, and what is read ahead."""

import contextlib
import itertools
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from hub_keras_bridge.facts.checkpoint import Checkpoint
from hub_keras_bridge.plans.trust import Trust
from hub_keras_bridge.running import first_values

v1 = tf.compat.v1
COUNT = 9


@pytest.fixture
def spec(publish):
    """Of a published module whose variables each are a group of their own."""

    def module_fn():
        x = v1.placeholder(tf.float32, [None])
        variables = [v1.get_variable(f"v{n}", initializer=[float(n)]) for n in range(COUNT)]
        hub.add_signature(inputs=x, outputs=x + tf.add_n(variables))

    return hub.load_module_spec(publish(module_fn))


@pytest.fixture
def reads(monkeypatch):
    """Names of the variables that are read, and groups of one variable."""
    found = []
    read_together = Checkpoint.read_together

    def note(self, several):
        found.extend(facts.name for facts in several)
        return read_together(self, several)

    monkeypatch.setattr(Checkpoint, "read_together", note)
    monkeypatch.setattr(first_values, "_GROUP_BYTES", 0)
    return found


def needed(spec):
    return {facts.node for facts in spec.variables}


def test_values_in_order_each_read_once(spec, reads):
    found = list(first_values.first_values(spec, (), needed(spec), Trust()))
    assert [facts.name for facts, _ in found] == [f"v{number}" for number in range(COUNT)]
    assert [np.asarray(value).tolist() for _, value in found] == [[float(n)] for n in range(COUNT)]
    assert sorted(reads) == sorted(facts.name for facts, _ in found)


def test_only_so_much_is_read_ahead(spec, reads):
    values = first_values.first_values(spec, (), needed(spec), Trust())
    for number, (facts, _) in enumerate(values):
        assert facts.name in reads
        # Those taken, and two more; readers may be late, never early.
        assert len(reads) <= number + 1 + first_values._AHEAD


def test_who_stops_early_waits_for_nothing_more(spec, reads):
    values = first_values.first_values(spec, (), needed(spec), Trust())
    next(values)
    values.close()
    assert len(reads) <= 1 + first_values._AHEAD


@contextlib.contextmanager
def unreadable(name):
    """Within, the value of a variable of this name cannot be read."""
    restoring = Checkpoint._restoring

    def fail(self, several):
        if any(facts.name == name for facts in several):
            raise tf.errors.DataLossError(None, None, "bad checksum")
        return restoring(self, several)

    with mock.patch.object(Checkpoint, "_restoring", fail):
        yield


def test_an_unreadable_value_is_told_when_its_turn_comes(spec, reads):
    with unreadable("v4"):
        values = first_values.first_values(spec, (), needed(spec), Trust())
        found = [facts.name for facts, _ in itertools.islice(values, 4)]
        assert found == ["v0", "v1", "v2", "v3"]
        with pytest.raises(hub.CheckpointError, match=r"variable 'v4'[\s\S]*bad checksum"):
            next(values)


def test_a_layer_that_could_not_be_built_can_be_later(spec, reads, tmp_path):
    """With each weight once, in checkpoints too."""
    layer, zero = hub.ModuleLayer(spec), np.zeros(1, np.float32)
    with unreadable("v4"), pytest.raises(hub.CheckpointError, match="'v4'"):
        layer(zero)
    assert layer(zero).numpy().tolist() == [sum(range(COUNT))]
    assert len(layer.weights) == COUNT
    layer.variable_map["v2"].assign([100.0])
    saved = tf.train.load_checkpoint(tf.train.Checkpoint(layer).save(tmp_path / "saved"))
    assert saved.get_tensor("_weight:v2/.ATTRIBUTES/VARIABLE_VALUE").tolist() == [100.0]


def test_a_variable_that_is_absent_and_not_needed_is_left_out(spec, reads, monkeypatch):
    has = Checkpoint.has
    monkeypatch.setattr(Checkpoint, "has", lambda self, f: f.name != "v3" and has(self, f))
    found = [f.name for f, _ in first_values.first_values(spec, (), needed(spec) - {"v3"}, Trust())]
    assert found == [f"v{number}" for number in range(COUNT) if number != 3]


def test_of_a_spec_in_memory_initializers_run():
    def module_fn():
        x = v1.placeholder(tf.float32, [])
        hub.add_signature(inputs=x, outputs=x * v1.get_variable("v", initializer=[2.0, 3.0]))

    spec = hub.create_module_spec(module_fn)
    ((facts, value),) = first_values.first_values(spec, (), needed(spec), Trust())
    assert (facts.name, np.asarray(value).tolist()) == ("v", [2.0, 3.0])
