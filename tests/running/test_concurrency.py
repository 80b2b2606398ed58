"""Threads, processes and forks: right numbers, or an error that says why not."""

import concurrent.futures
import os
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.golden import Golden
from helpers.places import ZOO
from stress.reliability.children import in_process

THREADS = 16
GOLDENS = ["text_embed", "mlp_bn", "rnn", "multi_io"]

# Forks before TensorFlow has run, then after.
FORK = """
import os, sys
import numpy as np, tensorflow as tf
import hub_keras_bridge as hub
from stress.reliability.children import in_process

def in_child(run):
    child = os.fork()
    if not child:
        try:
            print(run(), flush=True)
        except hub.HubError as error:
            print(type(error).__name__, flush=True)
        os._exit(0)
    os.waitpid(child, 0)

def load_and_call():
    return hub.ModuleLayer(sys.argv[1])(["a"]).shape

hub.load_module_spec(sys.argv[1])
in_child(load_and_call)
tf.ones([])
in_child(load_and_call)
"""


def in_threads(run, times=1):
    """What ``run(number)`` returns in 16 threads that begin together."""
    together = threading.Barrier(THREADS)

    def wait_and_run(number):
        together.wait()
        return [run(number) for _ in range(times)]

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        return [result for results in pool.map(wait_and_run, range(THREADS)) for result in results]


def in_fork(run):
    """What a function returns, or how it fails, in a fork of this process."""
    receiving, sending = os.pipe()
    child = os.fork()
    if not child:
        try:
            told = str(run())
        except BaseException as error:
            told = f"{type(error).__name__}: {error}"
        os.write(sending, told.encode())
        os._exit(0)
    os.close(sending)
    with open(receiving) as stream:
        told = stream.read()
    os.waitpid(child, 0)
    return told


def call(layer, golden, number=0):
    found = layer(golden.inputs(number))
    return {key: np.asarray(value) for key, value in found.items()}


def check(found, golden, number=0):
    for key, expected in golden.outputs(number).items():
        np.testing.assert_allclose(found[key], expected, atol=1e-5)


def layer_of(golden, number=0, **arguments):
    entry = golden.oracle["apply"][number]
    return hub.ModuleLayer(
        golden.path,
        signature=entry["signature"],
        tags=entry["tags"],
        as_dict=True,
        **arguments,
    )


class TestThreads:
    @pytest.mark.parametrize("name", GOLDENS)
    def test_one_layer_whose_first_call_is_made_by_all(self, name):
        golden = Golden(name)
        layer = layer_of(golden)
        for found in in_threads(lambda _: call(layer, golden), times=5):
            check(found, golden)

    def test_several_layers(self):
        goldens = [Golden(name) for name in GOLDENS]
        layers = [layer_of(golden) for golden in goldens]

        def run(number):
            chosen = number % len(goldens)
            return goldens[chosen], call(layers[chosen], goldens[chosen])

        for golden, found in in_threads(run, times=5):
            check(found, golden)

    def test_loading_while_calling(self):
        golden, other = Golden("text_embed"), Golden("mlp_bn")
        layer = layer_of(golden)

        def run(number):
            if number % 2:
                return golden, call(layer, golden)
            return other, call(layer_of(other), other)

        for golden_of_call, found in in_threads(run, times=2):
            check(found, golden_of_call)

    def test_one_graph_is_imported_for_all(self, monkeypatch):
        from hub_keras_bridge.running import runtime

        imported = []
        import_plan = runtime.import_plan
        monkeypatch.setattr(
            runtime, "import_plan", lambda *a: imported.append(a[0]) or import_plan(*a)
        )
        golden = Golden("mlp_bn")
        layer = layer_of(golden)
        in_threads(lambda _: call(layer, golden))
        assert len(imported) == 1
        assert len(layer.weights) == len(set(map(id, layer.weights)))

    def test_update_ops_of_training_calls_are_not_lost(self, publish):
        def counter_fn():
            x = tf.compat.v1.placeholder(tf.float32, [None])
            count = tf.compat.v1.get_variable("count", initializer=0.0, trainable=False)
            tf.compat.v1.add_to_collection("update_ops", count.assign_add(1.0))
            hub.add_signature(inputs=x, outputs=x + 0.0 * count)

        layer = hub.ModuleLayer(publish(counter_fn), trainable=True)
        in_threads(lambda _: layer([1.0], training=True), times=5)
        assert float(layer.variable_map["count"].numpy()) == THREADS * 5

    def test_exports(self, scale_spec, tmp_path):
        """The process's umask is nobody's to change, not for a moment."""
        layer = hub.ModuleLayer(scale_spec)
        layer.build()
        (tmp_path / "plain").mkdir()
        in_threads(lambda number: layer.export_module(tmp_path / str(number)))
        modes = {(tmp_path / str(number)).stat().st_mode for number in range(THREADS)}
        assert modes == {(tmp_path / "plain").stat().st_mode}
        assert len(os.listdir(tmp_path)) == THREADS + 1


class TestFork:
    """In a child, TensorFlow waits for threads that its parent has."""

    @pytest.fixture
    def layer(self, scale_path):
        layer = hub.ModuleLayer(scale_path, trainable=True)
        layer([[1.0, 2.0]])
        return layer

    def test_call_of_a_layer(self, layer, scale_path):
        told = in_fork(lambda: layer([[1.0, 2.0]]))
        assert told.startswith("ForkError: Cannot run a TF1 Hub module in a forked process")
        assert f"In: module '{scale_path}', tags {{}}" in told
        assert "Found: a fork of a process that TensorFlow had run in" in told
        assert "multiprocessing.get_context('spawn')" in told

    def test_new_layer(self, layer, scale_path):
        told = in_fork(lambda: hub.ModuleLayer(scale_path)([[1.0, 2.0]]))
        assert told.startswith("ForkError: ")

    def test_new_layer_in_a_model(self, layer, scale_path):
        told = in_fork(lambda: keras.Sequential([hub.ModuleLayer(scale_path)])(np.ones([1, 2])))
        assert told.startswith("ForkError: ")

    def test_restored_model(self, layer, scale_path, tmp_path):
        path = str(tmp_path / "saved_model")
        tf.saved_model.save(hub.load(scale_path), path)
        restored = hub.load(path)
        assert in_fork(lambda: restored([[1.0, 2.0]])).startswith("ForkError: ")

    def test_load(self, layer, scale_path):
        told = in_fork(lambda: hub.load(scale_path)(np.ones([1, 2], np.float32)))
        assert told.startswith("ForkError: ")

    def test_reading_what_a_module_is(self, layer, scale_path):
        assert in_fork(lambda: hub.load_module_spec(scale_path).get_tags()) == "[frozenset()]"

    def test_the_parent_goes_on(self, layer):
        in_fork(lambda: None)
        assert layer([[1.0, 2.0]]).numpy().tolist() == [[3.0, 6.0]]

    @pytest.mark.slow
    def test_before_tensorflow_has_run(self):
        """Importing, and reading a spec, are not running."""
        done = subprocess.run(
            [sys.executable, "-c", FORK, str(ZOO / "text_embed" / "module")],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.stdout.splitlines() == ["(1, 16)", "ForkError"]


@pytest.mark.slow
def test_processes_share_a_cache_and_are_killed():
    found = in_process("sharing", "run", 30, 10, 0)
    assert found["processes"] == 8
    assert found["killed"] > 0
    assert found["whole at the end"] == 30
    assert 30 <= found["fetched"] <= 30 + found["killed"]
    assert found["errors"] == []
    # One that was killed last may have left one, for the next to remove.
    assert found["left folders"] <= found["killed"]
