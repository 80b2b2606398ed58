"""``python -m stress``: tries to break this package; see ``--help``."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.commands import Command, main
from stress import fuzz, hostile, reaching, reliability

COMMANDS = {
    "fuzz": Command(
        "the readers under a coverage-guided fuzzer (extra [fuzz])", fuzz.run, fuzz.add_arguments
    ),
    "mutants": Command("how broken and hostile modules end", hostile.run, hostile.add_arguments),
    "reaching": Command(
        "whether modules changed by an attacker reach outside in safe mode",
        reaching.run,
        reaching.add_arguments,
    ),
    "reliability": Command(
        "killed writers, threads, processes, long runs, determinism, mutants",
        reliability.run,
        reliability.add_arguments,
    ),
}

if __name__ == "__main__":
    main("python -m stress", "Tries to break this package; see CONTRIBUTING.md.", COMMANDS)
