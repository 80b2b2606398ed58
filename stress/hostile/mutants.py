"""From a seed and a number to a mutant, always the same one."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from google.protobuf.message import DecodeError

from stress.hostile import facts, files, functions, graphs, values
from stress.hostile.victim import NotApplicable, Victim

T = TypeVar("T")

MUTATIONS: dict[str, Callable[[Victim], None]] = {
    f"{group.__name__.rpartition('.')[2]}.{mutation.__name__}": mutation
    for group in (files, graphs, functions, facts, values)
    for mutation in group.MUTATIONS
}


@dataclass(frozen=True)
class Mutant:
    """What was made.

    Attributes:
        base: name of the module that it is a copy of.
        mutations: names of the changes, in order.
        folder: where it lies.
        number: which of the seed's.
    """

    base: str
    mutations: tuple[str, ...]
    folder: Path
    number: int

    def some(self, options: Sequence[T], count: int = 1) -> list[T]:
        """One or some of the options; which goes by the mutant's number."""
        return random.Random(self.number).sample(options, min(count, len(options)))


def make(seed: int, number: int, bases: Mapping[str, Path], place: Path) -> Mutant:
    """Writes a mutant into ``place/module``, beside a folder ``outside``.

    The first change goes by the number, so that a run has all kinds in turn.
    """
    drawn = random.Random(f"{seed}/{number}")
    names = list(MUTATIONS)
    chosen = [names[number % len(names)]]
    chosen += drawn.choices(names, k=drawn.choice([0, 0, 1, 2]))
    for base in _order(drawn, bases):
        shutil.rmtree(place, ignore_errors=True)
        folder, outside = place / "module", place / "outside"
        shutil.copytree(bases[base], folder)
        outside.mkdir()
        (outside / "secret").write_text("a secret that no module may reach")
        applied = tuple(name for name in chosen if _apply(name, folder, outside, drawn))
        if chosen[0] in applied:
            return Mutant(base, applied, folder, number)
    raise NotApplicable(chosen[0])


def _order(drawn: random.Random, bases: Mapping[str, Path]) -> Iterator[str]:
    """The bases in an order that is drawn, again and again: a change may not fit each."""
    # Graphs of many nodes take long, and show little that others don't.
    sizes = {n: max(30_000, (b / "saved_model.pb").stat().st_size) for n, b in bases.items()}
    for _ in range(10):
        yield from sorted(sorted(sizes), key=lambda name: sizes[name] * drawn.expovariate(1))


def _apply(name: str, folder: Path, outside: Path, drawn: random.Random) -> bool:
    try:
        victim = Victim(folder, outside, drawn)
        MUTATIONS[name](victim)
        victim.write()
    except (NotApplicable, OSError, DecodeError):
        # The last two where a change before it left nothing to read.
        return False
    return True
