"""Direct calls of layers: what Keras need not prepare, it does not, where that was tried."""

import pathlib
import re
import runpy

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.checks import Checks
from helpers.twins import X, Y, module
from hub_keras_bridge.compat import direct_calls

CHECKS = Checks(direct_calls)
MATRIX = pathlib.Path(__file__).parents[2] / "scripts" / "version_matrix.py"


class Counts(direct_calls.DirectCalls):
    """A layer that notes whether Keras prepared its last call."""

    def call(self, inputs, training=None):
        self.add_loss(tf.constant(1.0 if training else 0.0))
        return inputs

    def _open_name_scope(self):
        self.noted = True
        return super()._open_name_scope()

    def is_prepared(self, inputs, **options):
        self.noted = False
        self(inputs, **options)
        return self.noted


@CHECKS.of("DirectCalls")
def a_plain_call_is_not_prepared():
    layer, x = Counts(), tf.ones([1])
    assert layer.is_prepared(x)
    assert not layer.is_prepared(x, training=True)
    assert [float(loss) for loss in layer.losses] == [1.0]
    assert layer.is_prepared(keras.Input((1,)))


def test_each_has_a_check():
    assert CHECKS.unchecked() == set()


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_still_does_what_it_says(name, tmp_path, monkeypatch):
    monkeypatch.setattr(direct_calls, "TRIED", [direct_calls._INSTALLED])
    CHECKS.run(name, tmp_path)


def test_act_only_where_the_matrix_has_run():
    rows = runpy.run_path(str(MATRIX))["ROWS"].values()
    pins = [pin for row in rows for pin in row.pins if pin.startswith("keras==")]
    minors = [tuple(map(int, re.findall(r"\d+", pin)[:2])) for pin in pins]
    assert tuple(sorted(minors)) == direct_calls.TRIED


def test_elsewhere_calls_go_by_way_of_keras(monkeypatch):
    monkeypatch.setattr(direct_calls, "TRIED", [])
    layer, x = Counts(), tf.ones([1])
    for _ in range(3):
        assert layer.is_prepared(x, training=True)
        assert [float(loss) for loss in layer.losses] == [1.0]


def losses_and_weights(steps):
    """What a layer gives and becomes in a training loop."""
    layer, found = module(trainable=True), []
    for _ in range(steps):
        with tf.GradientTape() as tape:
            y = layer(X, training=True)
            loss = tf.reduce_sum((y[:, :2] - Y) ** 2) + tf.add_n(layer.losses)
        slopes = tape.gradient(loss, layer.trainable_weights)
        for weight, slope in zip(layer.trainable_weights, slopes, strict=True):
            weight.assign_sub(0.1 * slope)
        found.extend([loss.numpy(), layer(X).numpy()])
    return [*found, *(weight.numpy() for weight in layer.weights)]


def test_numbers_are_the_same_both_ways(monkeypatch):
    monkeypatch.setattr(direct_calls, "TRIED", [direct_calls._INSTALLED])
    direct = losses_and_weights(3)
    monkeypatch.setattr(direct_calls, "TRIED", [])
    for ours, theirs in zip(direct, losses_and_weights(3), strict=True):
        np.testing.assert_array_equal(ours, theirs)
