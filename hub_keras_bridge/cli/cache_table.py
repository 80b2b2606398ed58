"""Modules in the cache as a table, or as JSON."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

from hub_keras_bridge.cli.terminal import stdout_console
from hub_keras_bridge.errors.words import legible, show_bytes, show_number
from hub_keras_bridge.files.fetch.cache_entries import Entry

# What is wrong with each, if anything is.
Faults = Mapping[Entry, str | None]

_TITLES = ("Module", "Size", "Last used", "Fetched", "State")


def print_entries(entries: Sequence[Entry], as_json: bool, faults: Faults) -> None:
    """Prints what is known of each."""
    if as_json:
        print(json.dumps([_facts(entry, faults[entry]) for entry in entries], indent=2))
    elif entries:
        _print_table(entries, faults)


def age(moment: datetime.datetime) -> datetime.timedelta:
    """How long ago that was."""
    return datetime.datetime.now() - moment


def _print_table(entries: Sequence[Entry], faults: Faults) -> None:
    """A row for each, where the width is enough for whole handles; else two lines."""
    from rich.measure import Measurement
    from rich.text import Text

    from hub_keras_bridge.tools.inspect.terminal import table_of

    console = stdout_console()
    rows = [_row(entry, faults[entry]) for entry in entries]
    table = table_of(*_TITLES, numbers=("Size",))
    for row in rows:
        table.add_row(*map(Text, row))
    if Measurement.get(console, console.options, table).maximum >= console.width:
        for module, size, used, fetched, state in rows:
            print(f"{module}\n  {size}, used {used}, fetched {fetched}, {state}")
    else:
        with console.capture() as captured:
            console.print(table)
        print("\n".join(line.rstrip() for line in captured.get().splitlines()))
    print()


def _row(entry: Entry, fault: str | None) -> tuple[str, ...]:
    return (
        entry.handle or f"(no descriptor) {entry.path}",
        show_bytes(entry.size),
        show_ago(age(entry.used)) if entry.used else "not known",
        show_ago(age(entry.fetched)),
        f"broken: {legible(fault)}" if fault else "whole",
    )


def show_ago(past: datetime.timedelta) -> str:
    """How long ago something was, in its largest unit.

    >>> show_ago(datetime.timedelta(days=40)), show_ago(datetime.timedelta(minutes=61))
    ('40 days ago', '1 hour ago')
    """
    seconds = max(0, int(past.total_seconds()))
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            return f"{show_number(seconds // length, unit)} ago"
    return "just now"


def _facts(entry: Entry, fault: str | None) -> dict[str, Any]:
    return {
        "handle": entry.handle,
        "path": entry.path,
        "bytes": entry.size,
        "fetched": entry.fetched.isoformat(timespec="seconds"),
        "used": entry.used.isoformat(timespec="seconds") if entry.used else None,
        "sha256": entry.sha256,
        "fault": fault,
    }
