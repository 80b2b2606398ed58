"""What the original library computed, a layer computes on whatever Keras computes with."""

import contextlib

import numpy as np
import pytest

import hub_keras_bridge as hub
from helpers.backends import BACKEND, numbers, wide_numbers
from helpers.comparing import tune
from helpers.golden import Golden, golden_names

# They have variables or outputs in float64.
WIDE = {"hyperparams", "multi_io"}


@pytest.fixture(autouse=True)
def _as_wide_as_needed(request):
    is_wide = request.node.callspec.params["name"] in WIDE
    with wide_numbers() if is_wide else contextlib.nullcontext():
        yield


@pytest.mark.parametrize("name", golden_names("apply"))
def test_apply(name):
    golden = Golden(name)
    for call in golden.calls():
        entry, inputs = golden.oracle["apply"][call], golden.inputs(call)
        for key, expected in golden.outputs(call).items():
            layer = hub.ModuleLayer(
                golden.path, tags=entry["tags"], signature=entry["signature"], output_key=key
            )
            if BACKEND != "tensorflow" and expected.dtype == object:
                with pytest.raises(hub.BackendError, match=f"Cannot return output '{key}'"):
                    layer(inputs)
                continue
            found = numbers(layer(inputs))
            assert found.shape == expected.shape
            if expected.dtype.kind in "fc":
                np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
            else:
                np.testing.assert_array_equal(found, expected)


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize("name", golden_names("tune"))
def test_fit(name):
    """``model.fit`` goes where the original's training went."""
    golden = Golden(name)
    layer = hub.ModuleLayer(golden.path, trainable=True, training_tags=golden.tune["tags"])
    losses, regularization = tune(layer, golden)
    np.testing.assert_allclose(losses, golden.arrays["tune.losses"], rtol=0, atol=2e-5)
    np.testing.assert_allclose(regularization, golden.arrays["tune.reg"], rtol=0, atol=2e-5)
    expected = golden.tuned_variables()
    for variable, value in layer.variable_map.items():
        parts = [numbers(v) for v in (value if isinstance(value, list) else [value])]
        joined = np.concatenate(parts) if len(parts) > 1 else parts[0]
        np.testing.assert_allclose(joined, expected[variable], rtol=0, atol=1e-5)
    first_inputs, _ = next(golden.batches())
    np.testing.assert_allclose(
        numbers(layer(first_inputs)), golden.arrays["tune.eval"], rtol=0, atol=1e-5
    )
