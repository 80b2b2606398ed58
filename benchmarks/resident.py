"""Resident memory of this process, and how it came, as Linux tells it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def resident() -> int:
    """Bytes at present."""
    return _status("VmRSS")


@contextmanager
def peak() -> Iterator[Callable[[], int]]:
    """Yields what reads the highest resident memory, in bytes, since the block began."""
    # Linux sets the mark back to the present when told 5.
    Path("/proc/self/clear_refs").write_text("5")
    yield lambda: _status("VmHWM")


def page_faults() -> int:
    """Pages that were touched first until now, without those that waited for a disk."""
    # What follows the program's name, which may hold spaces: see proc_pid_stat(5).
    return int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[7])


def _status(name: str) -> int:
    """A figure of /proc/self/status in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"This system's /proc/self/status has no {name}.")
