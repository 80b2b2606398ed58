"""``hub-keras-bridge cache``: what is in the cache, whether it is whole, and out with it."""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

from hub_keras_bridge.cli.options import add_json
from hub_keras_bridge.cli.startup import start_tensorflow
from hub_keras_bridge.errors import CacheError
from hub_keras_bridge.errors.words import show_bytes, show_number
from hub_keras_bridge.files.fetch import cache, cache_entries
from hub_keras_bridge.files.fetch.cache_directory import VARIABLE, directory
from hub_keras_bridge.files.fetch.cache_entries import Entry

Faults = Mapping[Entry, str | None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Defines the command's arguments."""
    parser.epilog = _place()
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, (act, explanation) in _ACTIONS.items():
        action = actions.add_parser(
            name, help=explanation, description=explanation, epilog=_place()
        )
        add_json(action)
        action.set_defaults(act=act)
        if name == "prune":
            _add_prune_arguments(action)
        if name != "list":
            action.add_argument(
                "--deep",
                action="store_true",
                help="compare checksums, too: of the values of variables, and of all files with "
                "what was fetched; reads all of them",
            )


def _place() -> str:
    """Where the cache is, for the help."""
    try:
        place = f"The cache is {directory()}"
    except CacheError as error:
        place = f"The cache cannot be used: expected {error.expected}; found {error.found}"
    return f"{place}. The variable {VARIABLE} moves it."


def _add_prune_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--broken", action="store_true", help="those that lack a file or have half of one"
    )
    parser.add_argument(
        "--older-than", type=_days, metavar="DAYS", help="those fetched longer ago than that"
    )
    parser.add_argument("--all", action="store_true", help="every one of them")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be removed, and remove nothing"
    )


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    return args.act(args)


def _list(args: argparse.Namespace) -> int:
    found = cache_entries.entries()
    _print(found, args.json, _faults(found))
    if not args.json:
        modules = show_number(len(found), "module")
        total = show_bytes(sum(entry.size for entry in found))
        print(f"{modules} in {directory()}, {total}")
    return 0


def _verify(args: argparse.Namespace) -> int:
    """Prints the broken ones; the status is 1 if there are any."""
    found = cache_entries.entries()
    faults = _faults(found, args.deep)
    broken = [entry for entry in found if faults[entry]]
    _print(broken, args.json, faults)
    if not args.json:
        modules = show_number(len(found), "module")
        print(f"{modules} in {directory()}, {len(broken)} broken")
    return 1 if broken else 0


def _prune(args: argparse.Namespace) -> int:
    """Prints what is removed: modules that any of the options takes, and leftovers.

    The status is 1 if a module stays because a process is fetching it.
    """
    found = cache_entries.entries()
    faults = _faults(found, args.deep and args.broken)
    chosen = [entry for entry in found if _is_chosen(entry, args, faults)]
    _print(chosen, args.json, faults)
    if args.dry_run:
        kept, leftovers, verb = [], cache.leftovers(), "would be removed"
    else:
        kept = [entry for entry in chosen if not cache.remove(entry)]
        leftovers, verb = cache.remove_leftovers(), "removed"
    if not args.json:
        for entry in kept:
            print(f"{entry.path} stays: a process is fetching it")
        if leftovers:
            print(f"unfinished downloads {verb}: {len(leftovers)}")
        modules = show_number(len(chosen) - len(kept), "module")
        print(f"{modules} {verb} from {directory()}")
    return 1 if kept else 0


_ACTIONS = {
    "list": (_list, "show the modules in the cache, the latest fetched last"),
    "verify": (_verify, "show the modules that are not whole; the status is 1 if there are any"),
    "prune": (
        _prune,
        "remove modules that any of the options below takes, and downloads that were broken off",
    ),
}


def _faults(entries: Sequence[Entry], deep: bool = False) -> Faults:
    """What is wrong with each entry, if anything is."""
    if not deep:
        return {entry: entry.fault for entry in entries}
    start_tensorflow()
    from hub_keras_bridge.tools.deep_check import deep_fault

    return {entry: deep_fault(entry) for entry in entries}


def _is_chosen(entry: Entry, args: argparse.Namespace, faults: Faults) -> bool:
    is_old = args.older_than is not None and _age(entry) > datetime.timedelta(args.older_than)
    return args.all or is_old or (args.broken and faults[entry] is not None)


def _print(entries: Sequence[Entry], as_json: bool, faults: Faults) -> None:
    if as_json:
        print(json.dumps([_facts(entry, faults[entry]) for entry in entries], indent=2))
        return
    for entry in entries:
        fault = faults[entry]
        print(entry.handle or "(handle unknown: no descriptor)")
        print(f"  {show_bytes(entry.size)}, {_age(entry).days} days old, ", end="")
        print(f"broken: {fault}" if fault else "whole")
        print(f"  {entry.path}")


def _facts(entry: Entry, fault: str | None) -> dict[str, Any]:
    return {
        "handle": entry.handle,
        "path": entry.path,
        "bytes": entry.size,
        "fetched": entry.fetched.isoformat(timespec="seconds"),
        "sha256": entry.sha256,
        "fault": fault,
    }


def _age(entry: Entry) -> datetime.timedelta:
    return datetime.datetime.now() - entry.fetched


def _days(text: str) -> float:
    days = float(text)
    if not 0 <= days < 1e6:
        raise argparse.ArgumentTypeError("a number of days, from 0 on")
    return days
