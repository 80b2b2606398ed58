"""Programs written for ``hub.Module`` return what they did with the original library.

``scripts/old_programs.py`` recorded that, and compares anew.
"""

import sys

import pytest

import hub_keras_bridge as hub
from old_code import registry

PROGRAMS = registry.all_programs()
RECORDED = registry.recorded()


def test_every_program_is_recorded():
    assert sorted(RECORDED) == sorted(PROGRAMS)


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name):
    found = registry.run(PROGRAMS[name], hub)
    assert not registry.differences(RECORDED[name], found)


@pytest.mark.slow
def test_programs_as_tensorflow_1_behaves():
    """After ``disable_v2_behavior()``, which holds for a process and begins most old scripts."""
    found = registry.ask(sys.executable, "hub_keras_bridge", is_v1=True)
    recorded = registry.recorded(is_v1=True)
    differing = {name: registry.differences(recorded[name], found[name]) for name in recorded}
    assert not {name: lines for name, lines in differing.items() if lines}


def test_a_difference_is_seen():
    expected = {"value": {"y": [1.0, 2.0], "names": ["a", "b"]}}
    assert not registry.differences(
        expected, {"value": {"y": [1.0, 2.000001], "names": ["a", "b"]}}
    )
    assert registry.differences(expected, {"value": {"y": [1.0, 2.1], "names": ["b"]}}) == [
        "['names']: [\"a\"] are missing, [] are too many",
        "['y'][1]: 2.0 is expected, found 2.1",
    ]
    assert registry.differences(expected, {"error": ["KeyError"]})
    assert registry.differences({"error": ["ValueError"]}, {"error": ["KeyError", "LookupError"]})
    assert not registry.differences(
        {"error": ["LookupError"]}, {"error": ["KeyError", "LookupError"]}
    )
