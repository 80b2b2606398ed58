"""Processes that report to the one that started them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

_REPOSITORY = Path(__file__).parents[2]


def in_process(module: str, function: str, *arguments: Any) -> Any:
    """What a function of a benchmark's module returns in a new interpreter, as JSON."""
    call = f"m.{function}(*json.loads({json.dumps(arguments)!r}))"
    code = f"import json; from stress.reliability import {module} as m; print(json.dumps({call}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        cwd=_REPOSITORY,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "NO_PROXY": "*"},
    )
    return json.loads(done.stdout.splitlines()[-1])


class Child:
    """A fork of this process, in which TensorFlow must not have run an op yet.

    Args:
        run: what it does; its argument sends a message to the parent. An error
            is sent as ``{"error": ...}``.
    """

    def __init__(self, run: Callable[[Callable[[Any], None]], None]) -> None:
        receiving, sending = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            _run_and_exit(run, sending)
        os.close(sending)
        self._stream: IO[str] = open(receiving)  # noqa: SIM115

    def messages(self) -> Iterator[Any]:
        """What it sends, up to its end; what a kill cut short is left out."""
        for line in self._stream:
            if line.endswith("\n"):
                yield json.loads(line)

    def kill(self) -> None:
        os.kill(self.pid, 9)

    def wait(self) -> int:
        """Its exit code, or the negative number of the signal that ended it."""
        self._stream.close()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def alone(work: Callable[[], Any]) -> Any:
    """What a function returns in a fork of this process, in which it may run ops."""
    child = Child(lambda send: send({"result": work()}))
    (told,) = child.messages()
    child.wait()
    if "error" in told:
        raise RuntimeError(told["error"])
    return told["result"]


def _run_and_exit(run: Callable[[Callable[[Any], None]], None], sending: int) -> None:
    def send(message: Any) -> None:
        os.write(sending, json.dumps(message).encode() + b"\n")

    try:
        run(send)
    except BaseException:
        send({"error": traceback.format_exc()})
    os._exit(0)
