"""Whether a module in the cache still is what was fetched, to the last byte.

What loads would find out late, of one value at a time, is found for all of them:
the time is that of reading all files twice.
"""

from __future__ import annotations

import os

from hub_keras_bridge.errors import CheckpointError, Subject
from hub_keras_bridge.facts.checkpoint import Checkpoint
from hub_keras_bridge.files import paths
from hub_keras_bridge.files.fetch.cache_entries import Entry
from hub_keras_bridge.files.layout import VARIABLES_PREFIX


def deep_fault(entry: Entry) -> str | None:
    """The first thing that is wrong with a module, or None if nothing is."""
    return entry.fault or _fault_of_values(entry) or _fault_of_files(entry)


def _fault_of_values(entry: Entry) -> str | None:
    prefix = os.path.join(entry.path, VARIABLES_PREFIX)
    if not paths.is_file(f"{prefix}.index"):
        return None
    try:
        return Checkpoint(prefix, Subject(entry.handle)).damage()
    except CheckpointError as error:
        return error.found


def _fault_of_files(entry: Entry) -> str | None:
    # Where nobody noted it, as the old library, there is nothing to compare with.
    return "its files are not those that were fetched" if entry.is_changed else None
