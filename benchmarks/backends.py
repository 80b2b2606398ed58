"""A step of fine-tuning, and of prediction, on each framework that Keras computes with.

A process per framework times a layer and a native model of the same architecture, by turns.
Where the framework calls TensorFlow, there is a third side: what the graph and its gradient
take there, by themselves.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

import hub_keras_bridge as hub
from benchmarks import agreement
from benchmarks.comparisons import fine_tune
from benchmarks.kinds import EVERY_KIND, published
from benchmarks.kinds.kind import Module
from benchmarks.processes import printed_by_main
from benchmarks.sides import OURS, TWIN
from benchmarks.sides.batches import batches_of
from benchmarks.sides.trainers import TRAINERS
from benchmarks.timing import Spread, interleaved, ratios

BACKENDS = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}

# Kind -> steps of an epoch; about as many as take a second.
STEPS = {"cnn": 6, "mlp": 200, "transformer": 6}
_QUICK = ("mlp",)

GRAPH = "the graph in TensorFlow"

# Of a native twin's time; where TensorFlow runs the graph, of that and the graph's own.
AIM = 1.3

# What is measured -> side -> seconds of a step, one figure per round.
Found = dict[str, dict[str, list[float]]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds which kinds of module, and how often."""
    parser.add_argument(
        "--kinds", nargs="+", choices=list(STEPS), default=list(STEPS), help="of module"
    )
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="how many")


def run(given: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Measures; a report in Markdown, and the figures."""
    names = _QUICK if given.quick else given.kinds
    rounds, part = (3, 4) if given.quick else (given.rounds, 1)
    found: dict[str, dict[str, Found]] = {}
    for name in names:
        module, steps = published(name), max(4, STEPS[name] // part)
        for backend in BACKENDS:
            found.setdefault(name, {})[backend] = _in_process(backend, module, steps, rounds)
    return table(found), {"rounds": rounds, "figures": found}


def _in_process(backend: str, module: Module, steps: int, rounds: int) -> Found:
    arguments = [module.kind.name, module.path, module.megabytes, steps, rounds]
    figures: Found = printed_by_main(__name__, arguments, KERAS_BACKEND=backend)
    return figures


def main() -> None:
    """Measures a module in this process and prints the figures, for :func:`run`."""
    name, path, megabytes, *counts = sys.argv[1:]
    module = Module(EVERY_KIND[name], Path(path), float(megabytes))
    print(json.dumps(measure(module, *map(int, counts))))


def measure(module: Module, steps: int, rounds: int) -> Found:
    """Seconds of a step, on the framework of this process.

    Raises:
        Disagreement: the sides compute different numbers.
    """
    timed = {
        "fit": fine_tune.prepared(module, steps, {side: TRAINERS[side] for side in (OURS, TWIN)}),
        "predict": _predictors(module, steps),
    }
    if keras.backend.backend() == "torch":
        timed["fit"][GRAPH] = _graph(module, steps, training=True)
        timed["predict"][GRAPH] = _graph(module, steps, training=False)
    return {
        what: {
            side: [s / steps for s in found] for side, found in interleaved(runs, rounds).items()
        }
        for what, runs in timed.items()
    }


def _predictors(module: Module, steps: int) -> dict[str, Callable[[], Any]]:
    kind = module.kind
    models = {
        OURS: keras.Sequential([kind.input_layer(), hub.ModuleLayer(module.path)]),
        TWIN: module.twin().model,
    }
    inputs = kind.sample(steps * kind.batch_size, 1).reshape(steps, kind.batch_size, *kind.shape)
    runs = {
        side: partial(model.predict, batches_of(inputs), verbose=0)
        for side, model in models.items()
    }
    agreement.require_same(f"outputs of {kind.title}", {side: run() for side, run in runs.items()})
    return runs


def _graph(module: Module, steps: int, *, training: bool) -> Callable[[], None]:
    """The graph, in training with the gradient of its variables, on one batch again and again."""
    loaded = hub.load(module.path)
    inputs = tf.constant(module.kind.sample(module.kind.batch_size, 1))

    @tf.function(autograph=False)
    def step(inputs: tf.Tensor) -> Any:
        if not training:
            return loaded(inputs)
        with tf.GradientTape() as tape:
            outputs = loaded(inputs, training=True)
        return tape.gradient(outputs, loaded.trainable_variables)

    def take() -> None:
        for _ in range(steps):
            step(inputs)

    return take


def table(found: dict[str, dict[str, Found]]) -> str:
    """A line per kind of module and framework."""
    lines = [
        f"What {OURS} takes as a part of a {TWIN}, on each framework; on PyTorch also as a part "
        f"of the twin and {GRAPH} together. Median of the rounds, and the middle half.",
        "",
        f"| module | framework | a step | ms of a {TWIN} | {OURS}, as a part of it "
        f"| with {GRAPH} | aim |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for name, backends in found.items():
        for backend, figures in backends.items():
            for what, sides in figures.items():
                both = {OURS: sides[OURS], TWIN: sides[TWIN]}
                cells = [
                    EVERY_KIND[name].title,
                    BACKENDS[backend],
                    what,
                    f"{1000 * Spread.of(sides[TWIN]).median:.3g}",
                    _shown(ratios(both, OURS)[TWIN]),
                    "",
                    "",
                ]
                if GRAPH in sides:
                    sums = [a + b for a, b in zip(sides[TWIN], sides[GRAPH], strict=True)]
                    cells[-2] = _shown(ratios({OURS: sides[OURS], "both": sums}, OURS)["both"])
                if backend != "tensorflow":
                    cells[-1] = f"{AIM}"
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _shown(spread: Spread) -> str:
    return f"{spread.median:.2f} ({spread.low:.2f} to {spread.high:.2f})"
