"""``python -m benchmarks``: compares with what people use today; see ``--help``."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks import against, apply, backends, compare, memory, steps
from benchmarks.commands import Command, main

_DEFAULT = "compare"

COMMANDS = {
    _DEFAULT: Command(
        "time and memory beside tensorflow_hub, TF1 sessions and native Keras (the default)",
        compare.run,
        compare.add_arguments,
    ),
    "against": Command(
        "the time to load, beside another checkout's", against.run, against.add_arguments
    ),
    "apply": Command(
        "a file of images through a module, by each engine", apply.run, apply.add_arguments
    ),
    "backends": Command(
        "a step of fine-tuning and of prediction on TensorFlow, JAX and PyTorch",
        backends.run,
        backends.add_arguments,
    ),
    "memory": Command(
        "what a load adds to memory, and what comes back", lambda given: memory.run(given.quick)
    ),
    "steps": Command(
        "a step of fine-tuning beside a TF1 session's, in several processes",
        steps.run,
        steps.add_arguments,
    ),
}

if __name__ == "__main__":
    main("python -m benchmarks", "Measures this package; see CONTRIBUTING.md.", COMMANDS, _DEFAULT)
