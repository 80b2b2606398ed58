"""What is computed beside what the original library computed."""

import keras
import numpy as np
import tensorflow as tf


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
        dtype = "string" if array.dtype.kind in "OSU" else array.dtype.name
        return keras.Input(array.shape[1:], name=name, dtype=dtype)

    if isinstance(inputs, dict):
        symbols = {key: symbolic(value, key) for key, value in inputs.items()}
    else:
        symbols = symbolic(inputs)
    model = keras.Model(symbols, layer(symbols))
    model.compile(keras.optimizers.SGD(golden.tune["lr"]), "mse")
    losses, regularization = [], []
    for inputs, targets in golden.batches():
        regularization.append(float(sum(layer.losses, 0.0)))
        history = model.fit(
            tf.nest.map_structure(tf.constant, inputs),
            targets,
            batch_size=len(targets),
            verbose=0,
        )
        losses.append(history.history["loss"][0])
    return losses, regularization
