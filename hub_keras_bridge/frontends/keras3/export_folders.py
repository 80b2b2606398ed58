"""Folders of exports, each named by the time it was written at."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterable

from hub_keras_bridge.files import durable

# Seconds since 1970 have ten digits from 2001 to 2286.
_TIMESTAMP = re.compile(r"[0-9]{10}")
_REMOVED = re.compile(rf"\.{_TIMESTAMP.pattern}\.removed")


def next_timestamp(parents: Iterable[str]) -> str:
    """The time now, or a later one if that is taken."""
    taken = [int(timestamp) for parent in parents for timestamp in _timestamps(parent)]
    return str(max([int(time.time()), *(last + 1 for last in taken)]))


def remove_removed(parent: str) -> None:
    """Removes exports whose removal was begun, by whichever process."""
    for entry in os.listdir(parent) if os.path.isdir(parent) else []:
        if _REMOVED.fullmatch(entry):
            shutil.rmtree(os.path.join(parent, entry), ignore_errors=True)


def remove_old(parent: str, keep: int | None) -> None:
    """Removes exports, but for the newest.

    Args:
        parent: the folder above them.
        keep: how many to keep; None for all.
    """
    if keep is None:
        return
    for timestamp in _timestamps(parent)[:-keep]:
        # Renamed first: what is called by a timestamp is always whole.
        durable.rename(
            os.path.join(parent, timestamp), os.path.join(parent, f".{timestamp}.removed")
        )
    remove_removed(parent)


def _timestamps(parent: str) -> list[str]:
    """Names of all exports below a folder, oldest first."""
    if not os.path.isdir(parent):
        return []
    with os.scandir(parent) as entries:
        return sorted(
            entry.name
            for entry in entries
            if _TIMESTAMP.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
        )
