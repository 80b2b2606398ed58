"""What publishers' scripts did runs with one changed import, and writes the same modules."""

import json
import types

import pytest

from helpers.places import GOLDEN

FOLDER = GOLDEN / "publishers"
FACTS = {
    facts.pop("program"): facts
    for facts in map(json.loads, (FOLDER / "facts.jsonl").read_text().splitlines())
}


@pytest.fixture(scope="module")
def programs():
    old = (FOLDER / "programs.py").read_text()
    new = old.replace("import tensorflow_hub as hub", "import hub_keras_bridge as hub")
    assert new != old
    module = types.ModuleType("programs")
    exec(compile(new, FOLDER / "programs.py", "exec"), module.__dict__)
    return module


def leaves(tree, path=()):
    """Path -> number, text or None; a list or dict without entries is one, too."""
    if not isinstance(tree, dict | list | tuple) or not tree:
        return {path: tree}
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree)
    return {at: leaf for key, value in entries for at, leaf in leaves(value, (*path, key)).items()}


def only(these, found):
    return {at: leaf for at, leaf in found.items() if at in these}


def without(these, found):
    return {at: leaf for at, leaf in found.items() if at not in these}


@pytest.mark.parametrize("name", FACTS)
def test_writes_what_the_original_library_writes(name, programs, tmp_path):
    found = leaves(json.loads(json.dumps(programs.run(name, str(tmp_path / name)))))
    expected = leaves(FACTS[name])
    computed = {at for at, leaf in expected.items() if isinstance(leaf, float)}
    assert without(computed, found) == without(computed, expected)
    assert only(computed, found) == pytest.approx(only(computed, expected), abs=1e-5)


def test_of_each_program_something_is_recorded(programs):
    assert FACTS.keys() == programs.PROGRAMS.keys()
