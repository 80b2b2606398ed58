"""Modules that others published."""

import tarfile

import keras
import numpy as np
import pytest

import hub_keras_bridge as hub
from helpers.places import DM21, DM21_ORACLE, GOLDEN, needs_dm21


def test_half_plus_two(tmp_path):
    with tarfile.open(GOLDEN / "half_plus_two" / "half_plus_two_v1.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    layer = hub.ModuleLayer(tmp_path)
    np.testing.assert_allclose(layer(np.float32([[1], [4], [-4]])), [[2.5], [4], [0]])


@needs_dm21
class TestDm21:
    @pytest.fixture
    def oracle(self):
        arrays = np.load(DM21_ORACLE)
        found = {"in": {}, "out": {}}
        for key in arrays.files:
            _, _, direction, name = key.split("|")
            found[direction][name] = arrays[key]
        return found

    def test_outputs(self, oracle):
        found = hub.ModuleLayer(DM21, as_dict=True)(oracle["in"])
        assert found.keys() == oracle["out"].keys()
        for name, expected in oracle["out"].items():
            np.testing.assert_allclose(found[name], expected, atol=1e-5)

    def test_fine_tuning(self, oracle, tmp_path):
        layer = hub.ModuleLayer(DM21, trainable=True, output_key="grid_contribution")
        symbols = {name: keras.Input(x.shape[1:], name=name) for name, x in oracle["in"].items()}
        model = keras.Model(symbols, layer(symbols))
        model.compile(keras.optimizers.SGD(1e-3), "mse")
        assert (len(layer.trainable_weights), len(layer.losses)) == (28, 12)
        before = [v.numpy() for v in layer.trainable_weights]
        target = oracle["out"]["grid_contribution"] * 0.9
        losses = model.fit(oracle["in"], target, epochs=3, verbose=0).history["loss"]
        assert losses[0] > losses[1] > losses[2]
        after = [v.numpy() for v in layer.trainable_weights]
        assert all((a != b).any() for a, b in zip(before, after, strict=True))

        layer.export_module(tmp_path / "tuned")
        tuned = hub.ModuleLayer(tmp_path / "tuned", output_key="grid_contribution")
        np.testing.assert_allclose(tuned(oracle["in"]), layer(oracle["in"]), atol=1e-6)
