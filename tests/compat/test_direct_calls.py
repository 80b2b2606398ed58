"""Direct calls of layers: what Keras need not prepare, it does not."""

import keras
import pytest
import tensorflow as tf

from helpers.checks import Checks
from hub_keras_bridge.compat import direct_calls

CHECKS = Checks(direct_calls)


@CHECKS.of("DirectCalls")
def a_plain_call_is_not_prepared():
    class Counts(direct_calls.DirectCalls):
        def call(self, inputs, training=None):
            self.add_loss(tf.constant(1.0 if training else 0.0))
            return inputs

        def _open_name_scope(self):
            prepared.append(self)
            return super()._open_name_scope()

    prepared, layer, x = [], Counts(), tf.ones([1])
    layer(x)
    assert prepared
    prepared.clear()
    layer(x, training=True)
    assert not prepared
    assert [float(loss) for loss in layer.losses] == [1.0]
    layer(keras.Input((1,)))
    assert prepared


def test_each_has_a_check():
    assert CHECKS.unchecked() == set()


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_still_does_what_it_says(name, tmp_path):
    CHECKS.run(name, tmp_path)
