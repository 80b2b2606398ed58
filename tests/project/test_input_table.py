"""docs/inputs.md: its table is what happens to each pair of dtypes."""

import itertools
import re

import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.places import ROOT
from hub_keras_bridge.errors import Subject
from hub_keras_bridge.facts.feeding import Slot
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo

FLOATS = ["bfloat16", "float16", "float32", "float64"]
REAL = [
    *("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"),
    *FLOATS,
]
COMPLEX = ["complex64", "complex128"]
NUMBERS = [*REAL, *COMPLEX]
KINDS = {
    "every number": NUMBERS,
    "any other number": NUMBERS,
    "every float": FLOATS,
    "a complex number": COMPLEX,
    "a real one": REAL,
    "a number": NUMBERS,
    "text": ["string"],
}
CONVERTED, REFUSED = ("converted",) * 3, ("refused",) * 3
BY_VALUE = ("by value", "checked", "refused")


def dtypes(cell):
    """The dtypes that a cell of the table names."""
    named = re.findall(r"`(\w+)`", cell)
    return [*named, *(each for kind, all_ in KINDS.items() if kind in cell for each in all_)]


def table():
    """Pair of dtypes -> what happens to it eagerly, in a graph, under XLA; of ever later rows."""
    found = {}
    for line in (ROOT / "docs" / "inputs.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[0] != "from":
            for pair in itertools.product(dtypes(cells[0]), dtypes(cells[1])):
                if pair[0] != pair[1] and not ("other" in cells[0] and pair in found):
                    found[pair] = tuple(cells[2:])
    return found


TABLE = table()


def part(dtype):
    """The floats that complex numbers consist of."""
    return {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)


def expected(pair):
    """By the rows for real numbers, where one is complex."""
    parts = tuple(map(part, pair))
    if pair[0] in COMPLEX and pair[1] not in COMPLEX:
        return REFUSED
    return CONVERTED if parts[0] == parts[1] else TABLE[parts]


def test_every_pair_has_a_row():
    all_ = [*NUMBERS, "string"]
    assert TABLE.keys() == set(itertools.permutations(all_, 2))
    assert set(TABLE.values()) == {CONVERTED, BY_VALUE, REFUSED}


def convert(value, to):
    info = ParsedTensorInfo.from_type_spec(tf.TensorSpec([None], to))
    return Slot("x", info, Subject("/m")).fill(value)


@pytest.mark.parametrize("dtype", [*NUMBERS, "string"])
def test_eagerly_and_in_a_graph(dtype):
    """One that every dtype of numbers has, and what none but the widest have."""
    ones = tf.constant(["1"]) if dtype == "string" else tf.cast([1], dtype)
    for to in {*NUMBERS, "string"} - {dtype}:
        eagerly, in_a_graph, _ = expected((dtype, to))
        function = tf.function(lambda x, to=to: convert(x, to), autograph=False)
        if eagerly == "refused":
            for run in (lambda x, to=to: convert(x, to), function):
                with pytest.raises(hub.InputError, match=f"Found: dtype {dtype}\n"):
                    run(ones)
            continue
        assert convert(ones, to).dtype == to
        concrete = function.get_concrete_function(tf.TensorSpec([None], dtype))
        types = {op.type for op in concrete.graph.get_operations()}
        assert ("Assert" in types) is (in_a_graph == "checked")


@pytest.mark.parametrize(
    ("value", "dtype", "to"),
    [
        (2**40, "int64", "int32"),
        (0.1, "float64", "float32"),
        (2, "uint8", "bool"),
        (200, "uint8", "int8"),
    ],
)
def test_values_that_do_not_fit(value, dtype, to):
    assert TABLE[dtype, to] == BY_VALUE
    tensor = tf.constant([value], dtype)
    with pytest.raises(hub.InputError, match=f"with the value {value}, which {to} does not hold"):
        convert(tensor, to)
    with pytest.raises(tf.errors.InvalidArgumentError, match=f", which {to} does not hold"):
        tf.function(lambda x: convert(x, to), autograph=False)(tensor)


@pytest.mark.parametrize(
    ("dtype", "to"),
    [("uint8", "float32"), ("int32", "int64"), ("int64", "int32"), ("int32", "float32")],
)
def test_under_xla(dtype, to):
    run = tf.function(lambda x: convert(x, to), autograph=False, jit_compile=True)
    ones = tf.cast([1], dtype)
    if TABLE[dtype, to] == CONVERTED:
        assert run(ones).dtype == to
    else:
        with pytest.raises(hub.InputError, match=f"Found: dtype {dtype}, in a function that XLA"):
            run(ones)
