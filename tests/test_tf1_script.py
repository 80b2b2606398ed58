"""A TF1 training script runs with its import changed, and nothing else."""

import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from conftest import ZOO

import hub_keras_bridge as hub

FOLDER = pathlib.Path(__file__).parent / "golden" / "tf1_script"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder in which the script left its module and its results."""
    folder = tmp_path_factory.mktemp("tf1_script")
    old = (FOLDER / "train.py").read_text()
    new = old.replace("import tensorflow_hub as hub", "import hub_keras_bridge as hub")
    assert new != old
    (folder / "train.py").write_text(new)
    subprocess.run(
        [sys.executable, "train.py", ZOO / "mlp_bn" / "module", "exported", "results.npz"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder


def test_every_loss_and_variable_is_that_of_the_original_library(run):
    found, expected = np.load(run / "results.npz"), np.load(FOLDER / "results.npz")
    assert set(found.files) == set(expected.files)
    for name in expected.files:
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-5, err_msg=name)


def test_its_module_is_fine_tuned_further_in_keras(run):
    trained = np.load(FOLDER / "results.npz")
    layer = hub.ModuleLayer(run / "exported", trainable=True)
    np.testing.assert_allclose(
        layer.variable_map["output/kernel"], trained["head/output/kernel:0"], atol=1e-5
    )
    model = keras.Sequential([keras.Input((4,)), layer])
    model.compile(
        keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32, 4)).astype(np.float32), rng.integers(0, 3, 32)
    mean = layer.variable_map["hidden/mean"].numpy().copy()
    losses = model.fit(x, y, epochs=5, batch_size=32, verbose=0).history["loss"]
    assert (np.diff(losses) < 0).all()
    assert (layer.variable_map["hidden/mean"].numpy() != mean).all()
