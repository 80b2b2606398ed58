"""What the text and the page of a module both show: remarks on variables, a table of ops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain

from hub_keras_bridge.errors.words import alike, show_shape, show_variants
from hub_keras_bridge.tools.inspect.summary import (
    ModuleSummary,
    OpSummary,
    Tags,
    VariableSummary,
)

# A row for each op, a column for each group of variants: no more columns than one can read.
_COLUMNS = 20


def remarks(variable: VariableSummary, variants: int) -> str:
    """What is out of the ordinary about a variable, in words.

    Args:
        variable: the variable.
        variants: how many variants the module has.

    >>> remarks(VariableSummary("n", "", "int64", (), 1, 8, False, (), ((), ("train",))), 2)
    'not trainable'
    """
    found = []
    if not variable.trainable:
        found.append("not trainable")
    if variable.slices:
        found.append("slices " + ", ".join(map(show_shape, variable.slices)))
    if len(variable.variants) < variants:
        found.append("only in " + show_variants(variable.variants, of=variants))
    return "; ".join(found)


def ops_of_variants(
    module: ModuleSummary,
) -> tuple[list[tuple[list[Tags], tuple[OpSummary, ...]]], int]:
    """The ops of variants, said once of those that have the same, and how many are left out."""
    groups = alike((variant.tags, variant.ops) for variant in module.variants)
    return groups[:_COLUMNS], sum(len(tags) for tags, _ in groups[_COLUMNS:])


def side_by_side(
    variants: Sequence[Sequence[OpSummary]],
) -> list[tuple[str, list[OpSummary | None]]]:
    """Each op with its count in every variant, None where it has none; the most frequent first.

    >>> side_by_side([[OpSummary("Mul", 2, 0)], [OpSummary("Add", 3, 1)]])
    [('Add', [None, OpSummary(op='Add', count=3, in_functions=1)]),
     ('Mul', [OpSummary(op='Mul', count=2, in_functions=0), None])]
    """
    found = [{op.op: op for op in ops} for ops in variants]
    most = Counter[str]()
    for op in chain.from_iterable(variants):
        most[op.op] = max(most[op.op], op.count)
    ordered = sorted(most, key=lambda op: (-most[op], op))
    return [(op, [counts.get(op) for counts in found]) for op in ordered]
