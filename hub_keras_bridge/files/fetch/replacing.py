"""A module comes to its place in the cache, and what was there goes, in steps that can be resumed.

Of what is being replaced, and of what replaces it, all is in one folder. Whoever finds
such a folder, after this process was killed at any point, puts the old back or brings
the new to its place.
"""

from __future__ import annotations

import os
from contextlib import suppress

from hub_keras_bridge.files import durable
from hub_keras_bridge.files.fetch.cache_entries import Entry

# Within the folder of a fetch: what was fetched, and what it replaces.
NEW, NEW_DESCRIPTOR = "new", "new.descriptor.txt"
_OLD, _OLD_DESCRIPTOR = "old", "old.descriptor.txt"


def publish(partial: str, entry: Entry) -> None:
    """Moves a module to its place, and what was there out of it."""
    # Found again after a power cut, with what comes into it.
    durable.sync_all(os.path.dirname(partial))
    durable.sync(os.path.dirname(entry.path))
    # The descriptor goes first and comes last: it never tells of another module.
    if os.path.lexists(entry.descriptor):
        durable.rename(entry.descriptor, os.path.join(partial, _OLD_DESCRIPTOR))
    if os.path.lexists(entry.path):
        durable.rename(entry.path, os.path.join(partial, _OLD))
    durable.rename(os.path.join(partial, NEW), entry.path)


def settle(partial: str, entry: Entry) -> None:
    """Ends what :func:`publish` began: the old state, or the new one.

    Whether the new module is in its place decides. This may be another process
    than the one that began, which was killed at any point.
    """
    moves = {NEW_DESCRIPTOR: entry.descriptor}
    if os.path.lexists(os.path.join(partial, NEW)):
        moves = {_OLD: entry.path, _OLD_DESCRIPTOR: entry.descriptor}
        # Else it would seem published to whoever comes when only "new" is removed.
        with suppress(FileNotFoundError):
            os.remove(os.path.join(partial, NEW_DESCRIPTOR))
    for name, place in moves.items():
        if os.path.lexists(os.path.join(partial, name)) and not os.path.lexists(place):
            durable.rename(os.path.join(partial, name), place)


def take_away(partial: str, entry: Entry) -> None:
    """Moves a module out of its place, for good."""
    # Gone at once for readers, then file by file.
    durable.rename(entry.path, os.path.join(partial, _OLD))
    if os.path.exists(entry.descriptor):
        os.remove(entry.descriptor)
