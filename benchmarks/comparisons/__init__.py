"""What is measured against what: one benchmark per file."""

from __future__ import annotations

from collections.abc import Callable, Collection

from benchmarks.comparisons import (
    compiled,
    eager_call,
    fine_tune,
    load,
    peak_memory,
    predict,
    size_sweep,
)
from benchmarks.figures import Result

# Name -> a function that measures, told whether to be quick, and the kinds of module.
COMPARISONS: dict[str, Callable[[bool, Collection[str]], list[Result]]] = {
    "load": load.run,
    "eager_call": eager_call.run,
    "predict": predict.run,
    "compiled": compiled.run,
    "fine_tune": fine_tune.run,
    "size_sweep": size_sweep.run,
    "peak_memory": peak_memory.run,
}
