"""``hub-keras-bridge cache``: what is in the cache, whether it is whole, and out with it."""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Sequence

from hub_keras_bridge.cli.cache_table import Faults, age, print_entries
from hub_keras_bridge.cli.options import add_json
from hub_keras_bridge.cli.startup import start_tensorflow
from hub_keras_bridge.errors import CacheError, Subject
from hub_keras_bridge.errors.redaction import redact
from hub_keras_bridge.errors.words import show_bytes, show_number
from hub_keras_bridge.files.fetch import cache, cache_entries
from hub_keras_bridge.files.fetch.cache_directory import VARIABLE, directory
from hub_keras_bridge.files.fetch.cache_entries import Entry


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
        if name == "rm":
            action.add_argument(
                "handles", metavar="HANDLE", nargs="+", help="as it was fetched or as list shows it"
            )
        if name in ("prune", "rm"):
            action.add_argument(
                "--dry-run", action="store_true", help="say what would be removed, remove nothing"
            )
        if name in ("verify", "prune"):
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
    parser.add_argument(
        "--unused-for", type=_days, metavar="DAYS", help="those not read for longer than that"
    )
    parser.add_argument("--all", action="store_true", help="every one of them")


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    return args.act(args)


def _list(args: argparse.Namespace) -> int:
    found = cache_entries.entries()
    faults = _faults(found)
    print_entries(found, args.json, faults)
    if not args.json:
        modules = show_number(len(found), "module")
        total = show_bytes(sum(entry.size for entry in found))
        print(f"{modules} in {directory()}, {total}")
        _print_what_can_be_freed(found, faults)
    return 0


def _print_what_can_be_freed(entries: Sequence[Entry], faults: Faults) -> None:
    broken = [entry for entry in entries if faults[entry]]
    if broken:
        size = show_bytes(sum(entry.size for entry in broken))
        print(f"{len(broken)} broken: cache prune --broken frees {size}")
    if leftovers := cache.leftovers():
        print(
            f"{show_number(len(leftovers), 'download')} not finished: cache prune clears what "
            "no process is at"
        )


def _verify(args: argparse.Namespace) -> int:
    """Prints the broken ones; the status is 1 if there are any."""
    found = cache_entries.entries()
    faults = _faults(found, args.deep)
    broken = [entry for entry in found if faults[entry]]
    print_entries(broken, args.json, faults)
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
    print_entries(chosen, args.json, faults)
    leftovers = cache.leftovers() if args.dry_run else cache.remove_leftovers()
    return _remove(chosen, args, leftovers)


def _rm(args: argparse.Namespace) -> int:
    """Removes what handles lead to; the status is as in ``_prune``."""
    chosen = list(dict.fromkeys(entry for handle in args.handles for entry in _named(handle)))
    print_entries(chosen, args.json, _faults(chosen))
    return _remove(chosen, args)


def _named(handle: str) -> list[Entry]:
    found = cache_entries.entries_named(handle)
    if not found:
        raise CacheError(
            "Cannot remove a TF1 Hub module: it is not in the cache.",
            Subject(redact(handle)),
            expected=f"a handle of a module in {directory()}",
            found="none that was fetched by it",
            advice="cache list shows the handles",
        )
    return found


def _remove(
    chosen: Sequence[Entry], args: argparse.Namespace, leftovers: Sequence[str] = ()
) -> int:
    """Removes modules, or says that it would, and tells what that frees."""
    verb, frees = ("would be removed", "would free") if args.dry_run else ("removed", "freed")
    sizes = {entry: entry.size for entry in chosen}
    kept = [entry for entry in chosen if not args.dry_run and not cache.remove(entry)]
    if not args.json:
        for entry in kept:
            print(f"{entry.path} stays: a process is fetching it")
        if leftovers:
            print(f"unfinished downloads {verb}: {len(leftovers)}")
        size = show_bytes(sum(sizes[entry] for entry in chosen if entry not in kept))
        modules = show_number(len(chosen) - len(kept), "module")
        print(f"{modules} {verb} from {directory()}, {frees} {size}")
    return 1 if kept else 0


_ACTIONS = {
    "list": (_list, "show the modules in the cache, the latest fetched last"),
    "verify": (_verify, "show the modules that are not whole; the status is 1 if there are any"),
    "rm": (_rm, "remove the modules of some handles"),
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
    is_old = _is_past(entry.fetched, args.older_than)
    is_unused = _is_past(entry.used, args.unused_for)
    return args.all or is_old or is_unused or (args.broken and faults[entry] is not None)


def _is_past(moment: datetime.datetime | None, days: float | None) -> bool:
    if moment is None or days is None:
        return False
    return age(moment) > datetime.timedelta(days)


def _days(text: str) -> float:
    days = float(text)
    if not 0 <= days < 1e6:
        raise argparse.ArgumentTypeError("a number of days, from 0 on")
    return days
