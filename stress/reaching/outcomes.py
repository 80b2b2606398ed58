"""How steps end."""

from __future__ import annotations

import enum
from typing import NamedTuple


class Outcome(str, enum.Enum):
    """How a step ended."""

    RAN = "ran"
    UNSAFE = "refused by safe mode"
    DAMAGED = "refused as damaged"
    COMPUTING = "TensorFlow's own error while computing"
    ENDLESS = "computing without end"
    RAW = "raw error"
    CONTRADICTION = "audited as safe, then refused"
    MEMORY = "memory"
    HANG = "hang"
    CRASH = "crash"
    RUN = "a refused op ran"
    OUTSIDE = "reached outside"


FINDINGS = frozenset(list(Outcome)[list(Outcome).index(Outcome.RAW) :])


class Step(NamedTuple):
    """A step and how it ended; the error with the lines that led to it."""

    name: str
    outcome: Outcome
    error: str = ""


def worst(steps: list[Step]) -> Step:
    """The worst of some steps."""
    order = list(Outcome)
    return max(steps, key=lambda step: order.index(step.outcome))
