"""What is said of facts in words and side by side."""

import pytest

from hub_keras_bridge.tools.inspect.summary import OpSummary, VariableSummary
from hub_keras_bridge.tools.inspect.views import remarks, side_by_side

BOTH = ((), ("train",))


def variable(trainable=True, slices=(), variants=BOTH):
    return VariableSummary("v", "", "float32", (4,), 4, 16, trainable, slices, variants)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (variable(), ""),
        (variable(trainable=False), "not trainable"),
        (variable(slices=((3,), (1,))), "slices [3], [1]"),
        (variable(variants=(("train",),)), "only in variant {'train'}"),
        (variable(False, ((4,),), ((),)), "not trainable; slices [4]; only in variant {}"),
    ],
)
def test_remarks(facts, said):
    assert remarks(facts, variants=2) == said


def test_ops_stand_by_their_greatest_count_then_by_name():
    first = [OpSummary("Mul", 2, 0), OpSummary("Add", 1, 0)]
    second = [OpSummary("Sub", 2, 1), OpSummary("Add", 9, 0)]
    assert [op for op, _ in side_by_side([first, second])] == ["Add", "Mul", "Sub"]
    assert side_by_side([first, second])[1] == ("Mul", [OpSummary("Mul", 2, 0), None])
    assert side_by_side([]) == []
