"""What the original library computed, a layer computes on whatever Keras computes with."""

import keras
import numpy as np
import pytest

import hub_keras_bridge as hub
from helpers.backends import beyond, numbers, tune
from helpers.golden import Golden, golden_names


def _as_given(golden, call):
    return golden.oracle["apply"][call], golden.inputs(call)


@pytest.mark.parametrize("name", golden_names("apply"))
def test_apply(name):
    golden = Golden(name)
    for call in golden.calls():
        entry, inputs = _as_given(golden, call)
        for key, expected in golden.outputs(call).items():
            layer = hub.ModuleLayer(
                golden.path, tags=entry["tags"], signature=entry["signature"], output_key=key
            )
            if problem := beyond(layer, key):
                with pytest.raises(hub.BackendError, match=problem):
                    layer(inputs)
                continue
            found = numbers(layer(inputs))
            assert found.dtype == expected.dtype or expected.dtype == object
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize("name", golden_names("tune"))
def test_fit(name):
    """``model.fit`` goes where the original's training went."""
    golden = Golden(name)
    layer = hub.ModuleLayer(golden.path, trainable=True, training_tags=golden.tune["tags"])
    losses = tune(layer, golden)
    expected = golden.arrays["tune.losses"] + golden.arrays["tune.reg"]
    np.testing.assert_allclose(losses, expected, rtol=0, atol=2e-5)
    for variable, value in layer.variable_map.items():
        parts = [numbers(v) for v in (value if isinstance(value, list) else [value])]
        joined = np.concatenate(parts) if len(parts) > 1 else parts[0]
        np.testing.assert_allclose(joined, golden.tuned_variables()[variable], rtol=0, atol=1e-5)
    first_inputs, _ = next(golden.batches())
    np.testing.assert_allclose(
        numbers(layer(first_inputs)), golden.arrays["tune.eval"], rtol=1e-5, atol=1e-5
    )


def test_backend_is_the_one_that_was_asked_for():
    assert keras.backend.backend() == keras.config.backend()
