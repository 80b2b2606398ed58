"""Reads the command line and runs the command it names."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence

from hub_keras_bridge.cli.commands import COMMANDS, PROGRAM, parser_of
from hub_keras_bridge.cli.error_line import error_line
from hub_keras_bridge.cli.verbosity import is_verbose, set_up
from hub_keras_bridge.errors import HubError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: the arguments; those of the process if None.

    Returns:
        The exit status: 0 for success, 1 for an error that was told on stderr (and
        with ``--json`` as an object with the key ``error``), 130 after Ctrl-C.
        Usage errors exit with status 2 on their own.
    """
    # This process is the command's own, and only this backend runs modules.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    argv = sys.argv[1:] if argv is None else argv
    # No option before the command takes a value, so its name stands first.
    name = next((argument for argument in argv if not argument.startswith("-")), "")
    told_by = f"{PROGRAM} {name}".rstrip()
    try:
        try:
            return _run(argv, name, told_by)
        finally:
            # At Python's exit it would be too late to be quiet about a reader that left.
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has enough of it; Python would say so at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print(f"{told_by}: interrupted", file=sys.stderr)
        return 130


def _run(argv: Sequence[str], name: str, told_by: str) -> int:
    args = parser_of([name]).parse_args(argv)
    set_up(args)
    try:
        return COMMANDS[args.command].load().run(args)
    except HubError as error:
        if is_verbose(args):
            traceback.print_exc()
        print(f"{told_by}: {error_line(error, vars(args))}", file=sys.stderr)
        if getattr(args, "json", False):
            _print_as_json(error)
        return 1


def _print_as_json(error: HubError) -> None:
    facts = {
        "kind": type(error).__name__,
        "problem": error.problem,
        "in": str(error.subject),
        "expected": error.expected,
        "found": error.found,
        "advice": error.advice,
    }
    print(json.dumps({"error": facts}, indent=2))
