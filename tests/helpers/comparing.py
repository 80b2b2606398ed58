"""What is computed beside what the original library computed."""

import keras
import numpy as np
import tensorflow as tf

from helpers.backends import BACKEND, numbers
from hub_keras_bridge import text_to_bytes


def assert_same(found, expected):
    found = np.asarray(found)
    assert found.shape == expected.shape
    if expected.dtype.kind in "fc":
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    else:
        np.testing.assert_array_equal(found, expected)


def tune(layer, golden):
    """Trains as the oracle did; returns losses and regularization per step."""
    inputs, targets = next(golden.batches())

    def symbolic(array, name=None):
        return keras.Input(array.shape[1:], name=name, dtype=_dtype_name(array))

    inputs = _carried(inputs)
    if isinstance(inputs, dict):
        symbols = {key: symbolic(value, key) for key, value in inputs.items()}
    else:
        symbols = symbolic(inputs)
    model = keras.Model(symbols, layer(symbols))
    model.compile(keras.optimizers.SGD(golden.tune["lr"]), "mse")
    losses, regularization = [], []
    for inputs, targets in golden.batches():
        regularization.append(float(sum(map(float, layer.losses))))
        history = model.fit(
            _carried(inputs),
            targets,
            batch_size=len(targets),
            verbose=0,
        )
        losses.append(history.history["loss"][0])
    return losses, regularization


def assert_tunes(layer, golden):
    """Checks that training goes where the oracle's went: losses, weights, outputs after it."""
    losses, regularization = tune(layer, golden)
    np.testing.assert_allclose(losses, golden.arrays["tune.losses"], rtol=0, atol=2e-5)
    np.testing.assert_allclose(regularization, golden.arrays["tune.reg"], rtol=0, atol=2e-5)
    expected = golden.tuned_variables()
    assert layer.variable_map.keys() == expected.keys()
    for variable, value in layer.variable_map.items():
        parts = [numbers(v) for v in (value if isinstance(value, list) else [value])]
        joined = np.concatenate(parts) if len(parts) > 1 else parts[0]
        np.testing.assert_allclose(joined, expected[variable], rtol=0, atol=1e-5)
    first_inputs, _ = next(golden.batches())
    assert_same(numbers(layer(first_inputs)), golden.arrays["tune.eval"])


def _carried(inputs):
    """What ``fit`` takes: tensors; where Keras has no strings, arrays, of text its bytes."""
    if BACKEND == "tensorflow":
        return tf.nest.map_structure(tf.constant, inputs)
    return tf.nest.map_structure(lambda a: text_to_bytes(a, 60) if _is_text(a) else a, inputs)


def _is_text(array):
    return array.dtype.kind in "OSU"


def _dtype_name(value):
    return tf.as_dtype(value.dtype).name
