"""A process that tries mutants, one line of JSON in, one out for each."""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

# Beyond what the process has after its imports; what TensorFlow cannot get is
# an error of its own, and only where it ignores that does the process die.
ADDRESS_SPACE = 6 << 30


def main(place: Path) -> None:
    """Serves requests until the input ends.

    A request has a seed and a number, an answer the base, the mutations, the
    steps and the memory that the mutant took. What the process does at the
    moment stands in ``place/doing``, so that its end can be told.
    """
    # What the package prints must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    faulthandler.enable()
    work = place / "work"
    os.environ |= {
        "TMPDIR": str(work / "temporary"),
        "HOME": str(work / "home"),
        "TFHUB_CACHE_DIR": str(work / "home"),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    from stress.hostile.bases import bases

    known = bases(place / "bases")
    _limit_memory()
    answers.write("ready\n")
    answers.flush()
    for line in sys.stdin:
        request = json.loads(line)
        answer = _try(request["seed"], request["number"], known, place, request["seconds"])
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _try(seed: int, number: int, known: dict[str, Path], place: Path, seconds: float) -> Any:
    from stress.hostile.exercise import exercise
    from stress.hostile.mutants import make

    doing = place / "doing"
    work = place / "work"
    doing.write_text(json.dumps({"base": "", "mutations": [], "step": "make"}))
    faulthandler.dump_traceback_later(seconds, exit=True)
    mutant = make(seed, number, known, work)
    for folder in ("temporary", "home"):
        (work / folder).mkdir()
    tempfile.tempdir = str(work / "temporary")
    told: dict[str, Any] = {"base": mutant.base, "mutations": mutant.mutations}

    def announce(step: str) -> None:
        doing.write_text(json.dumps({**told, "step": step}))

    before = _mark_memory()
    os.chdir(work / "home")
    steps = [
        {"step": step.name, "outcome": step.outcome.value, "error": step.error}
        for step in exercise(mutant, work, announce)
    ]
    os.chdir(place)
    faulthandler.cancel_dump_traceback_later()
    taken = _status("VmHWM") - before
    shutil.rmtree(work, ignore_errors=True)
    return {**told, "steps": steps, "bytes": taken}


def _limit_memory() -> None:
    limit = _status("VmSize") + ADDRESS_SPACE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _mark_memory() -> int:
    # Linux sets the highest mark back to the present when told 5.
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"This system's /proc/self/status has no {name}.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
