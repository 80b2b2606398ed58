"""Random ops of a module follow Keras's seeds, on whatever Keras computes with."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.backends import BACKEND, numbers

v1 = tf.compat.v1
X = np.ones((64, 8), "f")


def dropping_fn(training):
    x = v1.placeholder(tf.float32, [None, 8])
    scale = v1.get_variable("scale", initializer=np.ones(8, "f"))
    hub.add_signature(inputs=x, outputs=tf.nn.dropout(x * scale, rate=0.5 if training else 0.0))


def dropping_layer():
    variants = [(set(), {"training": False}), ({"train"}, {"training": True})]
    spec = hub.create_module_spec(dropping_fn, tags_and_args=variants)
    return hub.ModuleLayer(spec, trainable=True)


def run(seed):
    keras.utils.set_random_seed(seed)
    layer = dropping_layer()
    calls = [numbers(layer(X, training=True)) for _ in range(3)]
    model = keras.Sequential([keras.Input((8,)), layer])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    losses = [float(model.train_on_batch(X, 0 * X)) for _ in range(3)]
    return calls, losses, layer


def test_steps_differ_and_seeds_repeat():
    calls, losses, _ = run(1)
    for call in calls:
        assert set(np.unique(call)) == {0.0, 2.0}
        assert 0.4 < call.mean() / 2 < 0.6
    assert len({call.tobytes() for call in calls}) == 3
    again, same_losses, _ = run(1)
    np.testing.assert_array_equal(again, calls)
    assert same_losses == losses
    others, *_ = run(2)
    assert not np.array_equal(others, calls)


def test_inference_draws_nothing():
    layer = dropping_layer()
    layer.build()
    state = [numbers(variable) for variable in layer.variables]
    for _ in range(2):
        np.testing.assert_array_equal(numbers(layer(X)), X)
    for variable, before in zip(layer.variables, state, strict=True):
        np.testing.assert_array_equal(numbers(variable), before)


@pytest.mark.skipif(BACKEND == "tensorflow", reason="TensorFlow keeps the state")
def test_layers_without_random_ops_have_no_seed():
    def plain_fn():
        x = v1.placeholder(tf.float32, [None, 8])
        # An initializer is random, but no call runs it.
        w = v1.get_variable("w", [8], initializer=v1.random_normal_initializer())
        hub.add_signature(inputs=x, outputs=x * w)

    plain, random = hub.ModuleLayer(hub.create_module_spec(plain_fn)), dropping_layer()
    plain.build()
    random.build()
    assert [v.path.rpartition("/")[2] for v in plain.variables] == ["w"]
    assert [v.path.rpartition("/")[2] for v in random.variables] == [
        "scale",
        "seed_generator_state",
    ]
