"""Worker processes under watch and a clock: a mutant that ends one is a result."""

from __future__ import annotations

import contextlib
import json
import os
import site
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stress import workers
from stress.reaching.canary import Canary, Listener
from stress.reaching.outcomes import FINDINGS, Outcome, Step, worst
from stress.reaching.watch import Policy, Watch, can_watch

SECONDS = 20.0
_TURNS = 500  # Then a fresh process: TensorFlow keeps functions for good.
_ROOT = Path(__file__).parent.parent.parent
_TIMED_OUT = "Timeout ("
# Of the system, beside Python's own folders: what TensorFlow and libc look up.
_SYSTEM = (
    "/proc/self",
    "/proc/meminfo",
    "/proc/cpuinfo",
    "/proc/stat",
    "/sys",
    "/dev/null",
    "/dev/urandom",
)


@dataclass(frozen=True)
class Result:
    """How one mutant ended.

    Attributes:
        seed, number: which one.
        base: the module that it is a copy of; empty if no mutant could be made.
        mutators: what changed it.
        told: what they did.
        outcome: the worst of its steps.
        step: which step that was.
        error: what was raised, reached, or the stack on which the process ended.
        steps: name, outcome and error of all steps.
        seconds: what it took.
    """

    seed: int
    number: int
    base: str
    mutators: tuple[str, ...]
    told: tuple[str, ...]
    outcome: Outcome
    step: str
    error: str
    steps: tuple[Step, ...]
    seconds: float

    @property
    def is_finding(self) -> bool:
        """Whether this should not have happened."""
        return self.outcome in FINDINGS


class Pool:
    """Tries mutants in processes.

    Args:
        processes: how many.
        watched: whether the kernel tells what they reach; else, and where it does
            not, the canary does.
    """

    def __init__(self, processes: int, *, watched: bool = True) -> None:
        self._processes = processes
        self.watched = watched and can_watch()

    @property
    def oracle(self) -> str:
        """What sees what mutants reach."""
        return "system calls (seccomp)" if self.watched else "one folder and one port (inotify)"

    def tried(self, seed: int, numbers: Iterable[int]) -> Iterator[Result]:
        """Results as they come.

        Raises:
            RuntimeError: a worker did not start.
        """
        return workers.tried(
            seed, numbers, self._processes, lambda place: _Worker(place, watched=self.watched)
        )


class _Worker:
    """One process, and another after it has died or served long enough."""

    def __init__(self, place: Path, *, watched: bool) -> None:
        self._place = place
        self._watched = watched
        self._process: subprocess.Popen[str] | None = None
        self._turns = 0
        self._listener = Listener()
        outside = place / "outside"
        outside.mkdir()
        (outside / "secret").write_text("3")
        self._canary = Canary(str(outside), self._listener)

    def attempt(self, seed: int, number: int) -> Result:
        """Tries a mutant; again, should it hang: a busy machine is slow, too."""
        result = self._attempt(seed, number)
        return self._attempt(seed, number) if result.outcome is Outcome.HANG else result

    def _attempt(self, seed: int, number: int) -> Result:
        if self._process is None or self._turns >= _TURNS:
            self.stop()
            self._start()
        self._turns += 1
        process = self._process
        assert process is not None
        assert process.stdin is not None
        self._watch.breaches()
        told_before = self._log_size()
        began = time.monotonic()
        process.stdin.write(json.dumps({"seed": seed, "number": number}) + "\n")
        process.stdin.flush()
        answer = self._answer(process)
        seconds = time.monotonic() - began
        if answer is None:
            answer = self._died(process, seconds)
        steps = [Step(name, Outcome(outcome), error) for name, outcome, error in answer["steps"]]
        log = self._log_since(told_before)
        if f"mark of mutant {number}." in log:
            steps.append(Step("stderr", Outcome.RUN, "its mark was printed"))
        for breach in dict.fromkeys(self._watch.breaches()):
            steps.append(Step(breach.during, Outcome.OUTSIDE, f"{breach.syscall} {breach.what}"))
        last = worst(steps) if steps else Step("make", Outcome.RAN)
        return Result(
            seed,
            number,
            answer["base"],
            tuple(answer["mutators"]),
            tuple(answer["told"]),
            last.outcome,
            last.name,
            last.error,
            tuple(steps),
            seconds,
        )

    def _start(self) -> None:
        self._turns = 0
        self._log = (self._place / "log").open("w+", errors="replace")
        ours, theirs = socket.socketpair()
        channel = str(theirs.fileno()) if self._watched else "-"
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "stress.reaching.worker"),
                *(str(self._place), str(SECONDS), channel, str(self._listener.port)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=_ROOT,
            # The same choices each time.
            env={**os.environ, "PYTHONHASHSEED": "0"},
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        self._watch: Watch | Canary = self._canary
        with ours, contextlib.suppress(ConnectionError):  # the kernel, or a sandbox, refused
            self._watch = Watch(ours, self._policy())
        line = self._process.stdout.readline()  # type: ignore[union-attr]
        if line != "ready\n":
            raise RuntimeError(f"A worker did not start: {line}{self._log_since(0)[-4000:]}")
        self._canary.breaches()

    def _policy(self) -> Policy:
        python = {
            sys.prefix,
            sys.base_prefix,
            *site.getsitepackages(),
            *sysconfig.get_paths().values(),
        }
        real = {str(Path(each).resolve()) for each in python}
        place = self._place
        return Policy(
            system=(*_SYSTEM, *sorted(python | real), str(_ROOT)),
            read=(str(place / "module"), str(place / "bases")),
            written=(str(place / "work"),),
            marks=str(place / "marks") + "/",
        )

    def _answer(self, process: subprocess.Popen[str]) -> Any:
        # The worker ends itself in time; this is for one whose clock fails.
        killer = threading.Timer(SECONDS * 1.5, process.kill)
        killer.start()
        try:
            line = process.stdout.readline()  # type: ignore[union-attr]
        finally:
            killer.cancel()
        return json.loads(line) if line.endswith("\n") else None

    def _died(self, process: subprocess.Popen[str], seconds: float) -> dict[str, Any]:
        code = process.wait()
        self._process = None
        log = self._log_since(0)[-6000:]
        doing = json.loads((self._place / "doing").read_text())
        if doing["step"] == "make":  # TensorFlow died of an op that was tried for the mutant.
            return {**doing, "steps": []}
        if _TIMED_OUT in log or seconds >= SECONDS:
            computes = doing["step"].startswith("call") and "_import" not in log
            outcome = Outcome.ENDLESS if computes else Outcome.HANG
        elif "bad_alloc" in log or "MemoryError" in log:
            outcome = Outcome.MEMORY
        else:
            outcome = Outcome.CRASH
        step = Step(doing["step"], outcome, f"exit status {code}\n{log}")
        return {**doing, "steps": [step]}

    def _log_size(self) -> int:
        return (self._place / "log").stat().st_size

    def _log_since(self, position: int) -> str:
        with (self._place / "log").open(errors="replace") as stream:
            stream.seek(position)
            return stream.read()

    def stop(self) -> None:
        """Ends the process, if there is one."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait()
            self._log.close()
            self._process = None
