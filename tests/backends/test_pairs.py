"""What is saved on one backend computes the same on each other one, and trains on alike."""

import importlib.util

import numpy as np
import pytest

from helpers.backends import BACKEND
from helpers.pairs import BACKENDS, load, processes, save

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BACKEND != "tensorflow", reason="starts the processes of the others"),
]

PRESENT = [name for name in BACKENDS if importlib.util.find_spec(name)]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Who saved, who loaded -> what became of the model; None loaded: it went on at once."""
    folder = str(tmp_path_factory.mktemp("saved"))
    with processes(PRESENT) as call:
        # All begin before one is waited for, the one here last.
        others = PRESENT[::-1]
        saving = {name: call[name](save, folder) for name in others}
        results = {(name, None): wait() for name, wait in reversed(saving.items())}
        loading = {
            (saved_by, name): call[name](load, folder, saved_by)
            for name in others
            for saved_by in PRESENT
        }
        return results | {pair: wait() for pair, wait in reversed(loading.items())}


@pytest.mark.parametrize("loaded_by", BACKENDS)
@pytest.mark.parametrize("saved_by", BACKENDS)
def test_trains_on(saved_by, loaded_by, found):
    if not {saved_by, loaded_by} <= set(PRESENT):
        pytest.skip("not installed")
    expected, other = found[saved_by, None], found[saved_by, loaded_by]
    assert other.keys() == expected.keys()
    for what, value in expected.items():
        np.testing.assert_allclose(other[what], value, rtol=0, atol=1e-5, err_msg=what)
