"""The variables of a module: whose they are, and what each holds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.facts.variables import VariableFacts
from hub_keras_bridge.facts.variant import Variant
from hub_keras_bridge.tools.inspect.summary import Tags, VariableSummary


def variables_of(spec: ModuleSpec, variants: Iterable[Variant]) -> list[VariableSummary]:
    """Those of all variants, each once, in the order of the graph; as yet in no scope."""
    parts: dict[str, list[VariableFacts]] = {}
    for facts in spec.variables:
        parts.setdefault(facts.name, []).append(facts)
    owners: dict[str, list[Tags]] = {}
    trained: set[str] = set()
    for variant in variants:
        for name in dict.fromkeys(facts.name for facts in variant.variables):
            owners.setdefault(name, []).append(tuple(sorted(variant.tags)))
        trained.update(facts.name for facts in variant.variables if facts.trainable)
    return [
        _variable(slices, name in trained, tuple(owners[name])) for name, slices in parts.items()
    ]


def _variable(
    slices: Sequence[VariableFacts], trainable: bool, variants: tuple[Tags, ...]
) -> VariableSummary:
    first = slices[0]
    parameters = sum(math.prod(part.shape) for part in slices)
    return VariableSummary(
        name=first.name,
        scope="",
        dtype=first.dtype.name,
        shape=first.full_shape or first.shape,
        parameters=parameters,
        bytes=parameters * first.dtype.size,
        trainable=trainable,
        slices=() if first.full_shape is None else tuple(part.shape for part in slices),
        variants=variants,
    )
