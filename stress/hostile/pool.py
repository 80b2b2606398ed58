"""Worker processes under a watchdog: a mutant that kills one is a result."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stress import workers
from stress.hostile.exercise import FINDINGS, Outcome, stack_is_computing

SECONDS = 30.0  # For one mutant; an unchanged one takes one to three.
MEMORY = 1 << 30  # Resident, beyond what the process had; bases take some 50 MB.
_TURNS = 150  # Then a fresh process: TensorFlow keeps kernels and functions for good.
_ROOT = Path(__file__).parent.parent.parent
_TIMED_OUT = "Timeout ("


@dataclass(frozen=True)
class Result:
    """How one mutant ended.

    Attributes:
        seed, number: which one.
        base: the module that it is a copy of.
        mutations: what was changed.
        outcome: the worst of its steps.
        step: which step that was.
        error: what was raised, or the stack on which the process ended.
        steps: name -> outcome of all steps.
        seconds: what it took.
    """

    seed: int
    number: int
    base: str
    mutations: tuple[str, ...]
    outcome: Outcome
    step: str
    error: str
    steps: tuple[tuple[str, str], ...]
    seconds: float

    @property
    def is_finding(self) -> bool:
        """Whether this should not have happened."""
        return self.outcome in FINDINGS


def try_mutants(seed: int, numbers: Iterable[int], processes: int) -> Iterator[Result]:
    """Tries mutants in worker processes; results as they come.

    Raises:
        RuntimeError: a worker did not start, or stopped for a reason of its own.
    """
    return workers.tried(seed, numbers, processes, _Worker)


class _Worker:
    """One process, and another after it has died or served long enough."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._process: subprocess.Popen[str] | None = None
        self._turns = 0

    def attempt(self, seed: int, number: int) -> Result:
        """Tries a mutant; again, should it hang: a busy machine is slow, too."""
        result = self._attempt(seed, number)
        return self._attempt(seed, number) if result.outcome is Outcome.HANG else result

    def _attempt(self, seed: int, number: int) -> Result:
        if self._process is None or self._turns >= _TURNS:
            self.stop()
            self._start()
        self._turns += 1
        began = time.monotonic()
        process = self._process
        assert process is not None
        assert process.stdin is not None
        request = {"seed": seed, "number": number, "seconds": SECONDS}
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        answer = self._answer()
        seconds = time.monotonic() - began
        if answer is None:
            return self._died(seed, number, seconds)
        return _result(seed, number, answer, seconds)

    def _start(self) -> None:
        self._turns = 0
        self._log = (self._place / "log").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "stress.hostile.worker", str(self._place)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=_ROOT,
        )
        if (line := self._process.stdout.readline()) != "ready\n":  # type: ignore[union-attr]
            self._log.seek(0)
            raise RuntimeError(f"A worker did not start: {line}{self._log.read()[-4000:]}")

    def _answer(self) -> Any:
        process = self._process
        assert process is not None
        # The worker ends itself in time; this is for one whose watchdog fails.
        killer = threading.Timer(SECONDS * 1.5, process.kill)
        killer.start()
        try:
            line = process.stdout.readline()  # type: ignore[union-attr]
        finally:
            killer.cancel()
        return json.loads(line) if line.endswith("\n") else None

    def _died(self, seed: int, number: int, seconds: float) -> Result:
        assert self._process is not None
        code = self._process.wait()
        self._process = None
        self._log.seek(0)
        log = self._log.read()
        self._log.close()
        if code == 1 and _TIMED_OUT not in log:
            raise RuntimeError(f"Mutant {number} of seed {seed} stopped a worker: {log[-4000:]}")
        doing = json.loads((self._place / "doing").read_text())
        stack = log[-6000:]
        if _TIMED_OUT in stack or seconds >= SECONDS:
            endless = stack_is_computing(doing["step"], stack)
            outcome = Outcome.ENDLESS if endless else Outcome.HANG
        elif "bad_alloc" in stack or "MemoryError" in stack:
            outcome = Outcome.MEMORY
        else:
            outcome = Outcome.CRASH
        return Result(
            seed,
            number,
            doing["base"],
            tuple(doing["mutations"]),
            outcome,
            doing["step"],
            f"exit status {code}\n{stack}",
            (),
            seconds,
        )

    def stop(self) -> None:
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait()
            self._log.close()
            self._process = None


def _result(seed: int, number: int, answer: Any, seconds: float) -> Result:
    order = list(Outcome)
    steps = [(s["step"], Outcome(s["outcome"]), s["error"]) for s in answer["steps"]]
    if answer["bytes"] > MEMORY:
        steps.append(("memory", Outcome.MEMORY, f"{answer['bytes'] >> 20} MB"))
    worst = max(steps, key=lambda step: order.index(step[1]))
    return Result(
        seed,
        number,
        answer["base"],
        tuple(answer["mutations"]),
        worst[1],
        worst[0],
        worst[2],
        tuple((name, outcome.value) for name, outcome, _ in steps),
        seconds,
    )
