"""Slices of the long runs of ``python -m stress reliability``."""

import gc
import weakref

import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from stress.reliability import endurance
from stress.reliability.children import in_process


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return endurance.publish(str(tmp_path_factory.mktemp("endurance") / "module"))


def test_calls_of_any_shape_import_one_graph_per_kind_of_call(path):
    """Inference, training, and inference without watching variables; and the table's filling."""
    with endurance._counted_imports() as imports:
        layer = hub.ModuleLayer(path, trainable=True)
        for rows in (1, 2, 5, 8):
            for words in (1, 3, 4, 9):
                batch = endurance.batch(rows, words)
                assert layer(batch).shape == (rows, 8)
                assert layer(batch, training=True).shape == (rows, 8)
        assert len(imports) == 3
        layer.trainable = False
        layer(batch, training=True)
        assert len(imports) == 4


def test_a_function_around_is_not_traced_for_each_shape(path):
    layer = hub.ModuleLayer(path)

    @tf.function(reduce_retracing=True)
    def classify(words):
        return tf.argmax(layer(words), -1)

    counts = []
    for largest in (5, 8):
        for rows in range(1, largest):
            for words in range(1, largest):
                classify(endurance.batch(rows, words))
        counts.append(classify.experimental_get_tracing_count())
    assert counts[0] == counts[1] <= 4


def test_seeds_that_change_do_not_pile_up_graphs(path):
    layer = hub.ModuleLayer(path, trainable=True)
    words = endurance.batch(2, 3)
    graphs = []
    for seed in range(5):
        tf.random.set_seed(seed)
        layer(words, training=True)
        gc.collect()
        graphs.append(sum(issubclass(type(o), tf.Graph) for o in gc.get_objects()))
    assert graphs[-1] == graphs[1]


def test_what_is_dropped_goes(path):
    words = endurance.batch(2, 3)
    dropped = []
    for _ in range(3):
        layer = hub.ModuleLayer(path, trainable=True)
        layer(words, training=True)
        dropped += map(weakref.ref, (layer, layer._runtime, *layer.weights))
        del layer
    gc.collect()
    assert [reference() for reference in dropped if reference() is not None] == []


@pytest.mark.slow
def test_memory_of_fifty_rounds_is_flat():
    found = in_process("endurance", "load_use_drop", 50)
    assert found["rounds"] == 50
    # A layer of this module that stayed would take 2 MB, with its graphs and its table.
    assert found["KB risen per round"] < 200


@pytest.mark.slow
def test_memory_and_traces_of_five_hundred_calls():
    found = in_process("endurance", "varied_calls", 500)
    assert found["shapes"] > 200
    assert found["graphs imported"] == 3
    assert found["traces of the function around"] <= 4
    assert found["KB risen per round"] < 2
    assert np.ptp(found["MB resident"][1:]) < 10
