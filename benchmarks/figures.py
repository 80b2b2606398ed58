"""The figures that benchmarks yield, in a form for JSON, tables and plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from benchmarks.sides import BEST, OURS
from benchmarks.timing import Spread, ratios


@dataclass(frozen=True)
class Case:
    """One piece of work on one module, done by several sides.

    Attributes:
        module: the title of its kind.
        measured: side -> spread of the seconds, or MB, that it takes.
        ratio: side -> spread of the subject's figure as a part of that side's.
        at: where on the axis of a sweep this is; None without one.
        items: how many items the work is done on.
        aims: side -> what the subject's figure is to be at most, as a part of that
            side's; those of this case alone.
        notes: side -> what is to be known of it here, why it is left out above all.
    """

    module: str
    measured: dict[str, Spread]
    ratio: dict[str, Spread]
    at: float | None = None
    items: int = 1
    aims: dict[str, float] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, module: str, values: Mapping[str, Sequence[float]], subject: str = OURS, **more: Any
    ) -> Case:
        """From the figures of each round."""
        measured = {side: Spread.of(found) for side, found in values.items()}
        return cls(module, measured, ratios(values, subject), **more)

    def with_best(self, subject: str) -> Case:
        """The same, with the best of the others as one more to compare with."""
        best = self.ratio[self.best(subject)]
        return replace(self, ratio={**self.ratio, BEST: best})

    def best(self, subject: str) -> str:
        """The side with the lowest median, the subject apart."""
        others = [side for side in self.measured if side != subject]
        return min(others, key=lambda side: self.measured[side].median)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Case:
        """What ``dataclasses.asdict`` made of one."""
        spreads = {
            key: {side: Spread(**spread) for side, spread in found[key].items()}
            for key in ("measured", "ratio")
        }
        return cls(**{**found, **spreads})


@dataclass(frozen=True)
class Result:
    """All cases of a benchmark.

    Attributes:
        title: says what was measured.
        unit: of the figures, "s" or "MB".
        cases: in order.
        aims: side -> what the subject's figure is to be at most, as a part of
            that side's, in all cases.
        axis: what ``at`` is in a sweep; empty without one.
        rate: whether to show seconds as items per second.
        subject: the side that the others are compared with.
    """

    title: str
    unit: str
    cases: list[Case]
    aims: dict[str, float]
    axis: str = ""
    rate: bool = False
    subject: str = OURS

    def to_json(self) -> dict[str, Any]:
        """Plain dicts and lists."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Result:
        """The inverse of :meth:`to_json`."""
        return cls(**{**found, "cases": [Case.from_json(case) for case in found["cases"]]})

    @property
    def shown_unit(self) -> str:
        """Of the figures in tables and plots."""
        if self.rate:
            return "items per second"
        return "ms" if self.unit == "s" else self.unit

    def shown(self, case: Case, side: str) -> Spread:
        """A case's figures in ``shown_unit``."""
        found = case.measured[side]
        if self.rate:
            # The longest time is the lowest rate.
            low, median, high = (case.items / s for s in (found.high, found.median, found.low))
            return Spread(median, low, high)
        factor = 1000 if self.unit == "s" else 1
        return Spread(factor * found.median, factor * found.low, factor * found.high)

    @property
    def sides(self) -> list[str]:
        """All sides that any case has, in order."""
        return list(dict.fromkeys(side for case in self.cases for side in case.measured))

    @property
    def others(self) -> list[str]:
        """All that the subject is compared with in any case, in the order of sides."""
        found = {side for case in self.cases for side in case.ratio}
        return [side for side in (*self.sides, BEST) if side in found]

    def aim(self, case: Case, side: str) -> float | None:
        """What the subject's figure is to be at most there, as a part of that side's."""
        return case.aims.get(side, self.aims.get(side))

    @property
    def modules(self) -> list[str]:
        """The titles of the kinds."""
        return list(dict.fromkeys(case.module for case in self.cases))
