"""Training under tf.distribute: two devices, and two processes as two machines."""

import json
import os
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.documents import code_blocks
from helpers.places import TESTS

v1 = tf.compat.v1

pytestmark = pytest.mark.slow


def test_on_two_devices():
    """Each of the tests in mirrored.py."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            TESTS / "helpers" / "mirrored.py",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def module_fn():
    x = v1.placeholder(tf.float32, [None, 3])
    start = np.linspace(-0.2, 0.3, 6, dtype=np.float32).reshape(3, 2)
    kernel = v1.get_variable("kernel", initializer=start)
    steps = v1.get_variable("steps", initializer=0, trainable=False)
    v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, steps.assign_add(1))
    v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, 0.5 * tf.reduce_sum(kernel**2))
    hub.add_signature(inputs=x, outputs=tf.tanh(x @ kernel))


class TestTwoProcesses:
    """The program that docs/distribute.md shows."""

    @pytest.fixture
    def folder(self, tmp_path, publish):
        _, program = code_blocks("docs/distribute.md", "python")
        (tmp_path / "train.py").write_text(program)
        random = np.random.default_rng(0)
        x, y = random.normal(size=(32, 3)), random.normal(size=(32, 1))
        np.savez(tmp_path / "data.npz", x=x.astype("float32"), y=y.astype("float32"))
        os.rename(publish(module_fn), tmp_path / "module")
        return tmp_path

    def start(self, folder, result, cluster=None):
        """Starts the program; as one machine alone if there is no cluster."""
        environment = {k: v for k, v in os.environ.items() if k != "TF_CONFIG"}
        if cluster:
            environment["TF_CONFIG"] = json.dumps(cluster)
        return subprocess.Popen(
            [sys.executable, "train.py", "module", "data.npz", result],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, process):
        """The losses that the program printed."""
        try:
            output, errors = process.communicate(timeout=300)
        finally:
            process.kill()
        assert process.returncode == 0, errors
        return [float(line.split()[-1]) for line in output.splitlines() if "loss" in line]

    def test_train_as_one_machine_does(self, folder):
        with (
            socket.create_server(("127.0.0.1", 0)) as one,
            socket.create_server(("127.0.0.1", 0)) as two,
        ):
            workers = [f"127.0.0.1:{s.getsockname()[1]}" for s in (one, two)]
        machines = [
            self.start(
                folder,
                "two.keras",
                {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}},
            )
            for index in range(2)
        ]
        try:
            losses = [self.finish(machine) for machine in machines]
        finally:
            # One that is left would wait for the other.
            for machine in machines:
                machine.kill()
        expected = self.finish(self.start(folder, "one.keras"))
        assert len(expected) == 3
        np.testing.assert_allclose(losses, [expected, expected], atol=1e-5)
        one, two = (keras.models.load_model(folder / f"{n}.keras") for n in ("one", "two"))
        assert int(two.layers[0].variable_map["steps"].numpy()) == 12
        for pair in zip(one.get_weights(), two.get_weights(), strict=True):
            np.testing.assert_allclose(*pair, atol=1e-5)
