"""From a seed and a number to a mutant, always the same one."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tensorflow.core.protobuf import saved_model_pb2

from stress.reaching import facts, objects, places
from stress.reaching.case import Case, NotApplicable, Outside

MUTATORS: dict[str, Callable[[Case], str]] = {
    each.__name__: each for each in (*places.PLACES, *facts.FACTS, *objects.OBJECTS)
}
_GRAPHS = "saved_model.pb"
_TRIES = 100


@dataclass(frozen=True)
class Mutant:
    """What was made.

    Attributes:
        base: name of the module that it is a copy of.
        mutators: what changed it.
        told: what they did.
        folder: where it lies.
    """

    base: str
    mutators: tuple[str, ...]
    told: tuple[str, ...]
    folder: Path


def make(
    seed: int, number: int, bases: Mapping[str, Path], folder: Path, outside: Outside
) -> Mutant:
    """Writes a mutant.

    The first mutator goes by the number, so that a run has all in turn; one in
    four mutants has a second.
    """
    drawn = random.Random(f"{seed}/{number}")
    names = list(MUTATORS)
    wanted = [names[number % len(names)]]
    if drawn.random() < 0.25:
        wanted.append(drawn.choice(names))
    for _ in range(_TRIES):
        base = drawn.choice(sorted(bases))
        made = _mutated(_read(bases[base]), drawn, outside, wanted)
        if made is None:
            continue
        saved_model, applied, told = made
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(bases[base], folder)
        (folder / _GRAPHS).write_bytes(saved_model.SerializeToString(deterministic=True))
        return Mutant(base, applied, told, folder)
    raise NotApplicable(wanted[0])


def _read(folder: Path) -> saved_model_pb2.SavedModel:
    return saved_model_pb2.SavedModel.FromString((folder / _GRAPHS).read_bytes())


def _mutated(
    saved_model: saved_model_pb2.SavedModel,
    drawn: random.Random,
    outside: Outside,
    wanted: list[str],
) -> tuple[saved_model_pb2.SavedModel, tuple[str, ...], tuple[str, ...]] | None:
    """A copy changed by the first of the mutators, and by others where they find something."""
    told: dict[str, str] = {}
    for name in wanted:
        case = Case(_copy(saved_model), drawn, outside)
        try:
            told[name] = MUTATORS[name](case)
        except NotApplicable:
            continue
        saved_model = case.saved_model
    if wanted[0] not in told:
        return None
    return saved_model, tuple(told), tuple(told.values())


def _copy(saved_model: saved_model_pb2.SavedModel) -> saved_model_pb2.SavedModel:
    copy = saved_model_pb2.SavedModel()
    copy.CopyFrom(saved_model)
    return copy
