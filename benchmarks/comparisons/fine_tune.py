"""One step of fine-tuning in ``fit``, with ``compile()`` at its defaults."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial

from benchmarks import agreement
from benchmarks.figures import Case, Result
from benchmarks.kinds import KINDS, QUICK_KINDS, asked_for, published
from benchmarks.kinds.kind import Module
from benchmarks.sides import SESSION, TWIN
from benchmarks.sides.trainers import TRAINERS, Examples, Trainer
from benchmarks.timing import interleaved

_AIMS = {SESSION: 1.05, TWIN: 1.0}
# Of an epoch; about as many as take a second or two.
STEPS = {"cnn": 8, "transformer": 8, "lstm": 64, "embedding": 256}


def run(quick: bool, kinds: Collection[str]) -> list[Result]:
    """Measures all sides on kinds of module."""
    cases = []
    for name in asked_for(kinds, QUICK_KINDS if quick else KINDS):
        module, steps = published(name), max(4, STEPS[name] // (4 if quick else 1))
        seconds = measure(module, steps, rounds=3 if quick else 9)
        per_step = {side: [s / steps for s in found] for side, found in seconds.items()}
        cases.append(Case.of(module.kind.title, per_step, items=module.kind.batch_size))
    return [Result("A fine-tuning step in fit", "s", cases, _AIMS)]


def measure(module: Module, steps: int, rounds: int) -> dict[str, list[float]]:
    """Seconds per call of ``fit``, with these steps, of each side and round.

    Raises:
        Disagreement: the loss, or what the first step does to the weights, differs.
    """
    return interleaved(prepared(module, steps, TRAINERS), rounds)


def prepared(
    module: Module, steps: int, sides: Mapping[str, Callable[[Module, Examples], Trainer]]
) -> dict[str, Callable[[], float]]:
    """What takes these steps, of each side.

    Raises:
        Disagreement: the loss, or what the first step does to the weights, differs.
    """
    title = module.kind.title
    examples = Examples.of(module.kind, steps)
    trainers = {side: prepare(module, examples) for side, prepare in sides.items()}
    before = {side: trainer.weights() for side, trainer in trainers.items()}
    losses = {side: trainer.train(1) for side, trainer in trainers.items()}
    after = {side: trainer.weights() for side, trainer in trainers.items()}
    agreement.require_same(f"loss of {title}", losses)
    agreement.require_same_updates(title, before, after)
    return {side: partial(trainer.train, steps) for side, trainer in trainers.items()}
