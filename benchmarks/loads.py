"""A process that loads modules, for :mod:`benchmarks.against`: it imports no more than it times."""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

import hub_keras_bridge as hub


def seconds_of_loads(folder: Path, loads: int) -> dict[str, list[tuple[float, float]]]:
    """Of the processor and of the clock, for each load of each module in a folder.

    A module ``embedding-tf1`` gets the input in ``embedding.npy``.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    for path in sorted(each for each in folder.iterdir() if "-tf" in each.name):
        batch = tf.constant(np.load(folder / f"{path.name.rpartition('-')[0]}.npy"))
        for _ in range(loads):
            gc.collect()
            begin = time.process_time(), time.perf_counter()
            hub.ModuleLayer(str(path))(batch)
            end = time.process_time(), time.perf_counter()
            found.setdefault(path.name, []).append((end[0] - begin[0], end[1] - begin[1]))
    return found


if __name__ == "__main__":
    print(json.dumps(seconds_of_loads(Path(sys.argv[1]), int(sys.argv[2]))))
