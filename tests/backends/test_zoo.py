"""What the original library computed, a layer computes on whatever Keras computes with."""

import contextlib

import pytest

import hub_keras_bridge as hub
from helpers.backends import BACKEND, numbers, wide_numbers
from helpers.comparing import assert_same, assert_tunes
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
            assert_same(numbers(layer(inputs)), expected)


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize("name", golden_names("tune"))
def test_fit(name):
    """``model.fit`` goes where the original's training went."""
    golden = Golden(name)
    layer = hub.ModuleLayer(golden.path, trainable=True, training_tags=golden.tune["tags"])
    assert_tunes(layer, golden)
