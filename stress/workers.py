"""Mutants shared out among worker processes, each served by a thread of its own."""

from __future__ import annotations

import queue
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

R = TypeVar("R", covariant=True)


class Worker(Protocol[R]):
    """Tries one mutant after another, in a process that it starts when it needs one."""

    def attempt(self, seed: int, number: int) -> R:
        """How a mutant ended."""

    def stop(self) -> None:
        """Ends the process, if there is one."""


def tried(
    seed: int, numbers: Iterable[int], processes: int, worker_in: Callable[[Path], Worker[R]]
) -> Iterator[R]:
    """Results as they come.

    Args:
        seed: of the mutants.
        numbers: which of them.
        processes: how many workers.
        worker_in: makes one with a folder of its own.

    Raises:
        Exception: what a worker raised: it did not start, for example.
    """
    results: queue.Queue[R | Exception | None] = queue.Queue()
    lock = threading.Lock()
    waiting = iter(numbers)

    def following() -> int | None:
        with lock:
            return next(waiting, None)

    def serve() -> None:
        try:
            with tempfile.TemporaryDirectory() as place:
                worker = worker_in(Path(place).resolve())
                try:
                    while (number := following()) is not None:
                        results.put(worker.attempt(seed, number))
                finally:
                    worker.stop()
        except Exception as error:
            results.put(error)
        finally:
            results.put(None)

    threads = [threading.Thread(target=serve, daemon=True) for _ in range(processes)]
    for thread in threads:
        thread.start()
    running = len(threads)
    while running:
        result = results.get()
        if isinstance(result, Exception):
            raise result
        if result is None:
            running -= 1
        else:
            yield result
