"""Threads that call layers, and load others meanwhile."""

from __future__ import annotations

import concurrent.futures
import itertools
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

import hub_keras_bridge as hub
from stress.reliability import endurance

THREADS = 16


def run(calls: int) -> dict[str, Any]:
    """How many calls of many threads gave other numbers than calls one by one.

    Args:
        calls: how many each thread makes, per way of calling.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = [endurance.publish(f"{folder}/{number}", seed=number) for number in range(4)]
        batches = [endurance.batch(rows, words) for rows, words in ((1, 3), (4, 5), (7, 2))]
        expected = [[_layer(path)(batch).numpy() for batch in batches] for path in paths]
        return {
            "threads": THREADS,
            "calls": calls,
            **{
                way: _wrong(calls, layer_of(paths), batches, expected)
                for way, layer_of in _WAYS.items()
            },
        }


def _layer(path: str) -> hub.ModuleLayer:
    return hub.ModuleLayer(path)


# From paths to: (thread, call) -> number of the module, and a layer of it.
LayerOf = Callable[[int, int], tuple[int, hub.ModuleLayer]]


def _one_layer(paths: list[str]) -> LayerOf:
    layer = _layer(paths[0])
    return lambda *_: (0, layer)


def _several_layers(paths: list[str]) -> LayerOf:
    layers = [_layer(path) for path in paths]
    return lambda thread, call: ((thread + call) % len(paths), layers[(thread + call) % len(paths)])


def _loading(paths: list[str]) -> LayerOf:
    """Every other thread loads a layer for each of its calls."""
    layers = [_layer(path) for path in paths]

    def layer_of(thread: int, call: int) -> tuple[int, hub.ModuleLayer]:
        module = (thread + call) % len(paths)
        return module, _layer(paths[module]) if thread % 2 else layers[module]

    return layer_of


_WAYS: dict[str, Callable[[list[str]], LayerOf]] = {
    "one layer": _one_layer,
    "several layers": _several_layers,
    "loading while calling": _loading,
}


def _wrong(
    calls: int, layer_of: LayerOf, batches: list[tf.Tensor], expected: list[list[np.ndarray]]
) -> int:
    together = threading.Barrier(THREADS)

    def work(thread: int) -> int:
        together.wait()
        wrong = 0
        for call, number in zip(range(calls), itertools.cycle(range(len(batches)))):
            module, layer = layer_of(thread, call)
            found = layer(batches[number]).numpy()
            wrong += not np.allclose(found, expected[module][number], atol=1e-5)
        return wrong

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(work, range(THREADS)))
