"""A program of several commands, each with a report in Markdown and figures in a file."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple


class Command(NamedTuple):
    """One command.

    Attributes:
        help: what it measures or tries, in a line.
        run: does so as the command's arguments say, and returns a Markdown
            report and the figures for a JSON file.
        add_arguments: adds those that it alone has.
    """

    help: str
    run: Callable[[argparse.Namespace], tuple[str, object]]
    add_arguments: Callable[[argparse.ArgumentParser], None] = lambda _: None


def main(
    program: str, description: str, commands: Mapping[str, Command], default: str | None = None
) -> None:
    """Runs the command that the process was started with.

    Args:
        program: how it was started, for ``--help``.
        description: what it is for.
        commands: by name.
        default: the one to run where none is named.
    """
    parser = argparse.ArgumentParser(prog=program, description=description)
    parsers = parser.add_subparsers(dest="command", required=True)
    for name, command in commands.items():
        added = parsers.add_parser(name, help=command.help, description=command.help)
        added.add_argument("--quick", action="store_true", help="smaller sizes, fewer rounds")
        added.add_argument("--output", type=Path, metavar="FILE", help="write figures as JSON")
        command.add_arguments(added)
    given = sys.argv[1:]
    if default and not {*given[:1]} & {*commands, "-h", "--help"}:
        given = [default, *given]
    arguments = parser.parse_args(given)
    report, figures = commands[arguments.command].run(arguments)
    print(report)
    if arguments.output:
        arguments.output.write_text(json.dumps(figures, indent=2) + "\n")
