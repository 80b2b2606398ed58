"""What is random, what follows the global seed, and what repeats to the bit."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub

v1 = tf.compat.v1

ONES = np.ones([4, 50], np.float32)

# Fine-tunes twice in one process and prints what came of it, digest by digest.
FINE_TUNE = """
import hashlib, sys
import keras, numpy as np, tensorflow as tf
import hub_keras_bridge as hub

def losses_and_weights():
    keras.utils.set_random_seed(7)
    layer = hub.ModuleLayer(sys.argv[1], trainable=True)
    model = keras.Sequential([layer, keras.layers.Dropout(0.5), keras.layers.Dense(3)])
    model.compile(keras.optimizers.Adam(0.01), "mse")
    x = np.random.uniform(size=[32, 50]).astype("float32")
    history = model.fit(x, x[:, :3], epochs=3, batch_size=8, verbose=0)
    return repr(history.history).encode() + b"".join(w.tobytes() for w in model.get_weights())

tf.config.experimental.enable_op_determinism()
try:
    hub.ModuleLayer(sys.argv[1], trainable=True)(np.ones([4, 50], "float32"), training=True)
except hub.SeedError as error:
    print(str(error).replace(chr(10), " "))
for _ in range(2):
    print(hashlib.sha256(losses_and_weights()).hexdigest())
"""


def dropout_fn(training, seed=None):
    """Inputs times a random matrix, with dropout in the variant for training."""
    x = v1.placeholder(tf.float32, [None, 50])
    kernel = v1.get_variable("kernel", [50, 50], initializer=v1.glorot_uniform_initializer())
    kept = tf.nn.dropout(x, 0.5, seed=seed) if training else x
    hub.add_signature(inputs=x, outputs={"default": kept @ kernel, "kept": kept})


VARIANTS = [(set(), {"training": False}), ({"train"}, {"training": True})]


@pytest.fixture
def unseeded(publish):
    return publish(dropout_fn, VARIANTS)


@pytest.fixture
def seeded(publish):
    return publish(lambda training: dropout_fn(training, seed=1), VARIANTS)


def masks(layer, steps=3):
    """What dropout keeps, training call by training call."""
    return [layer(ONES, training=True).numpy().tolist() for _ in range(steps)]


def dropout_layer(path):
    return hub.ModuleLayer(path, trainable=True, output_key="kept")


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("module", ["unseeded", "seeded"])
def test_dropout_differs_from_step_to_step(request, module, seed):
    tf.random.set_seed(seed)
    one, two, three = masks(dropout_layer(request.getfixturevalue(module)))
    assert one != two
    assert two != three
    assert {value for row in one for value in row} == {0.0, 2.0}


class TestPublishedWithoutSeed:
    def test_a_new_layer_repeats_the_sequence_of_a_seed(self, unseeded):
        found = []
        for seed in (3, 3, 4):
            keras.utils.set_random_seed(seed)
            found.append(masks(dropout_layer(unseeded)))
        assert found[0] == found[1]
        assert found[0] != found[2]

    def test_the_same_layer_follows_a_seed_that_is_set_later(self, unseeded):
        tf.random.set_seed(None)
        layer = dropout_layer(unseeded)
        unfollowed = masks(layer)
        found = []
        for seed in (3, 4, 3):
            keras.utils.set_random_seed(seed)
            found.append(masks(layer))
        assert found[0] == found[2]
        assert found[0] != found[1]
        assert unfollowed not in found

    def test_without_a_global_seed_nothing_repeats(self, unseeded):
        found = []
        for _ in range(2):
            tf.random.set_seed(None)
            found.append(masks(dropout_layer(unseeded)))
        assert found[0] != found[1]

    def test_two_layers_drop_different_values(self, unseeded):
        assert masks(dropout_layer(unseeded)) != masks(dropout_layer(unseeded))

    def test_fit_repeats(self, unseeded):
        weights = []
        for _ in range(2):
            keras.utils.set_random_seed(3)
            model = keras.Sequential([hub.ModuleLayer(unseeded, trainable=True)])
            model.compile("sgd", "mse")
            model.fit(ONES, ONES, epochs=3, verbose=0)
            weights.append(model.get_weights()[0])
        np.testing.assert_allclose(*weights, atol=1e-6)

    def test_random_ops_inside_loops(self, publish):
        def module_fn():
            start = v1.placeholder(tf.float32, [])
            sum_ = v1.while_loop(
                lambda i, _: i < 3, lambda i, t: (i + 1, t + tf.random.uniform([])), [0, start]
            )[1]
            hub.add_signature(inputs=start, outputs=sum_)

        path = publish(module_fn)
        found = []
        for seed in (3, 3, 4):
            keras.utils.set_random_seed(seed)
            layer = hub.ModuleLayer(path)
            found.append([float(layer(0.0)), float(layer(0.0))])
        assert found[0] == found[1]
        assert found[0] != found[2]
        assert found[0][0] != found[0][1]

    def test_initial_values(self):
        spec = hub.create_module_spec(dropout_fn, VARIANTS)
        kernels = []
        for seed in (3, 3, 4):
            keras.utils.set_random_seed(seed)
            kernels.append(hub.ModuleLayer(spec).variable_map["kernel"].numpy())
        np.testing.assert_array_equal(kernels[0], kernels[1])
        assert not np.allclose(kernels[0], kernels[2])

    def test_what_is_exported_is_without_a_seed_still(self, unseeded, tmp_path):
        layer = dropout_layer(unseeded)
        masks(layer)
        layer.export_module(tmp_path / "m")
        exported = hub.load_module_spec(tmp_path / "m").files.saved_model
        assert exported == hub.load_module_spec(unseeded).files.saved_model

    def test_conversion_to_a_saved_model(self, unseeded, tmp_path):
        tf.saved_model.save(hub.load(unseeded), str(tmp_path / "converted"))
        restored = tf.saved_model.load(tmp_path / "converted")
        one, two = (restored(ONES, training=True).numpy().tolist() for _ in range(2))
        assert one != two


def test_published_with_a_seed_is_as_in_the_original(seeded):
    """There an op's own seed decides, whatever the global one is."""
    found = []
    for seed in (3, 4):
        keras.utils.set_random_seed(seed)
        found.append(masks(dropout_layer(seeded)))
    assert found[0] == found[1]


@pytest.mark.slow
def test_fine_tuning_is_equal_to_the_bit(unseeded):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", FINE_TUNE, unseeded], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    told = [process.communicate()[0].splitlines() for process in processes]
    refused, *digests = zip(*told, strict=True)
    assert len({digest for pair in digests for digest in pair}) == 1
    assert "has random ops without a seed" in refused[0]
    assert f"module '{unseeded}', tags {{'train'}}" in refused[0]
    assert "call keras.utils.set_random_seed" in refused[0]
