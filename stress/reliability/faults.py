"""Processes that are killed while they write, and disks that are full.

A round kills a process that writes version after version: after a time drawn at
random, or, every second round, right before one of the file operations of a
write, from the first to the last, which finds the moments between two steps that
time would miss. The next process says what it
finds: every version told of as written must be there, whole, and beside it the
one that was being written, or nothing of it; and what hidden folders there are
must be gone after its own first write.
"""

from __future__ import annotations

import itertools
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hub_keras_bridge as hub
from stress.reliability import hosting, writers
from stress.reliability.children import Child, alone

_SECONDS = 0.15
_DISK_MB = 8
_ROOM = 1_200_000  # Bytes at most; a version takes half of that, in the cache with its archive.

_STEPS = {f"os.{name}" for name in ("mkdir", "rename", "remove", "rmdir", "link")}


def run(name: str, rounds: int, seed: int) -> dict[str, Any]:
    """Kills, then fills the disk, this many times each.

    Args:
        name: one of ``writers.WRITERS``.
        rounds: how often.
        seed: for what is drawn.
    """
    with tempfile.TemporaryDirectory() as source:
        alone(lambda: writers.prepare(source))
        with hosting.server(source):
            figures = {"killed": _killed(name, source, rounds, random.Random(seed))}
            for kind, space in _DISKS.items():
                with space() as out:
                    if out is not None:
                        figures[kind] = alone(
                            lambda out=out, kind=kind: _full(
                                name, source, out, kind, rounds, random.Random(seed)
                            )
                        )
    return figures


# --- killed ---


def _killed(name: str, source: str, rounds: int, draw: random.Random) -> dict[str, int]:
    figures = {"rounds": 0, "during a write": 0, "left folders": 0}
    written = None  # The last version that was told of.
    with tempfile.TemporaryDirectory() as out:
        for number in range(rounds + 1):
            last = number == rounds  # Only looks at what the one before left.
            moment = number / rounds if number % 2 and not last else None
            before = len(writers.hidden(out))
            child = Child(_writing(name, source, out, written, moment, once=last))
            for told in child.messages():
                if "error" in told:
                    raise RuntimeError(f"{name}, round {number}: {told['error']}")
                written = told.get("written", written)
                if "ready" in told and moment is None and not last:
                    time.sleep(draw.uniform(0, _SECONDS))
                    child.kill()
            status = child.wait()
            if status not in (0, -signal.SIGKILL):
                raise RuntimeError(f"{name}, round {number}: ended with {status}")
            figures["rounds"] += status == -signal.SIGKILL
            figures["during a write"] += bool(writers.hidden(out))
            figures["left folders"] += before
        if left := writers.hidden(out):
            raise RuntimeError(f"{name}: {left} after a run that was not killed")
    return figures


def _writing(
    name: str, source: str, out: str, written: int | None, moment: float | None, once: bool
) -> Callable[[Callable[[Any], None]], None]:
    """Checks what is there, then writes until it is killed."""

    def run(send: Callable[[Any], None]) -> None:
        writer = writers.WRITERS[name](source, out)
        first = _check(name, writer, written) + 1
        steps = _Steps()
        writer.write(first)
        if left := writers.hidden(out):
            raise writers.Mixture(f"left by the one before: {left}")
        send({"written": first})
        if once:
            return
        writers.prune(out)
        send({"ready": True})
        if moment is not None:
            steps.kill_at(moment)
        for number in itertools.count(first + 1):
            writer.write(number)
            send({"written": number})

    return run


def _check(name: str, writer: writers.Writer, written: int | None) -> int:
    """Compares what is there with what was told; the last version there."""
    found = writer.found()
    if written is None:
        if found not in ([], [0]):
            raise writers.Mixture(f"found {found}, where nothing had been written")
        return len(found) - 1
    cycle = writers.CYCLES.get(name)
    for number in (written + 1, written):
        if (number % cycle if cycle else number) in found:
            return number
    raise writers.Mixture(f"found {found}, where {written} had been written")


class _Steps:
    """Counts the operations of this process that change files, from now on."""

    def __init__(self) -> None:
        self._count = 0
        self._last: int | None = None
        sys.addaudithook(self._hook)

    def kill_at(self, moment: float) -> None:
        """Kills this process in what it writes next.

        Args:
            moment: when, as a share of the operations counted so far.
        """
        self._last = 1 + int(moment * self._count)
        self._count = 0

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if writes or event in _STEPS:
            self._count += 1
            if self._count == self._last:
                os.kill(os.getpid(), signal.SIGKILL)


# --- a full disk ---


@contextmanager
def _small_disk() -> Iterator[str | None]:
    """A file system of a few megabytes; None where this user cannot mount one."""
    with tempfile.TemporaryDirectory() as folder:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_MB}m", "tmpfs", folder]
        try:
            mounted = not subprocess.run(mount, stderr=subprocess.DEVNULL).returncode
        except OSError:
            mounted = False
        try:
            yield folder if mounted else None
        finally:
            if mounted:
                subprocess.run(["umount", folder], check=True)


_DISKS: dict[str, Callable[[], Any]] = {
    "full disk": _small_disk,
    "file too large": tempfile.TemporaryDirectory,
}


def _full(
    name: str, source: str, out: str, kind: str, rounds: int, draw: random.Random
) -> dict[str, int]:
    """Writes where there is little room, then where there is enough, in turn."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    inside = f"{out}/out"
    os.mkdir(inside)
    writer = writers.WRITERS[name](source, inside)
    writer.write(0)
    written, refused = 0, 0
    for _ in range(rounds):
        room = draw.randrange(_ROOM)
        with _room_on_disk(out, room) if kind == "full disk" else _room_in_a_file(room):
            try:
                writer.write(written + 1)
                written += 1
            except hub.HubError:
                refused += 1
            if left := writers.hidden(inside):
                raise writers.Mixture(f"left behind: {left}")
        written = _check(name, writer, written)
        writer.write(written + 1)
        written = _check(name, writer, written + 1)
        writers.prune(inside)
    return {"rounds": rounds, "refused": refused}


@contextmanager
def _room_on_disk(folder: str, room: int) -> Iterator[None]:
    filling = Path(folder, "filling")
    free = os.statvfs(folder)
    filling.write_bytes(b"x" * max(0, free.f_bavail * free.f_frsize - room))
    try:
        yield
    finally:
        filling.unlink()


@contextmanager
def _room_in_a_file(room: int) -> Iterator[None]:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
