"""TF1 training scripts run with their import, or their header, changed and nothing else."""

import os
import re
import subprocess
import sys

import keras
import numpy as np
import pytest

import hub_keras_bridge as hub
from helpers.documents import prose
from helpers.places import GOLDEN, ZOO

FOLDER = GOLDEN / "tf1_script"


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


SCRIPT = """
HEADER
import numpy as np
import hub_keras_bridge as hub

def module_fn(training):
    x = tf.placeholder(tf.float32, [None, 4])
    y = tf.layers.dense(x, 3)
    hub.add_signature(inputs=x, outputs=tf.layers.batch_normalization(y, training=training))

variants = [(set(), {"training": False}), ({"train"}, {"training": True})]
x = tf.placeholder(tf.float32, [None, 4])
labels = tf.placeholder(tf.int64, [None])
module = hub.Module(hub.create_module_spec(module_fn, variants), trainable=True, tags={"train"})
loss = tf.losses.sparse_softmax_cross_entropy(labels, tf.layers.dense(module(x), 2))
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    feed = {x: np.eye(4), labels: [0, 1, 0, 1]}
    losses = [session.run([loss, train], feed)[0] for _ in range(20)]
    module.export("exported", session)
assert losses[-1] < losses[0]
"""


def test_script_with_the_default_graph(tmp_path):
    """The header of docs/migration.md is what a script for TensorFlow 1 needs."""
    rows = prose("docs/migration.md").splitlines()
    (now,) = [row.split(" | ")[1] for row in rows if "`tf.placeholder`" in row]
    header = "\n".join(re.findall("`([^`]*)`", now))
    assert header == "import tensorflow.compat.v1 as tf\ntf.disable_v2_behavior()"
    subprocess.run(
        [sys.executable, "-c", SCRIPT.replace("HEADER", header)],
        cwd=tmp_path,
        env={**os.environ, "TF_USE_LEGACY_KERAS": "1"},
        check=True,
        capture_output=True,
    )
    assert hub.ModuleLayer(tmp_path / "exported")(np.eye(4)).shape == (4, 3)


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
