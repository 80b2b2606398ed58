"""``hub-keras-bridge inspect``: describes a module without running it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import re
import sys

from hub_keras_bridge.cli.options import add_handle, add_json
from hub_keras_bridge.cli.startup import start_tensorflow
from hub_keras_bridge.cli.terminal import stdout_console
from hub_keras_bridge.errors import ExportError, Subject
from hub_keras_bridge.errors.redaction import redact
from hub_keras_bridge.files.fetch.resolve import check_handle
from hub_keras_bridge.files.targets import folder_fault
from hub_keras_bridge.files.writing import whole
from hub_keras_bridge.tools.inspect.page import render_page
from hub_keras_bridge.tools.inspect.summary import ModuleSummary
from hub_keras_bridge.tools.inspect.text import BRIEF, format_summary


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Defines the command's arguments."""
    add_handle(parser)
    add_json(parser)
    parser.add_argument(
        "--all",
        action="store_true",
        help="list all there is also on a terminal, where tables are brief; a pipe gets it anyway",
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--html",
        type=os.path.expanduser,
        metavar="FILE",
        help="write the facts as one self-contained page instead",
    )
    instead.add_argument(
        "--nodes",
        type=_pattern,
        metavar="PATTERN",
        help="list instead what nodes give whose name a regular expression is found in: what an "
        "output_key can name beside the outputs of signatures",
    )


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no regular expression: {error}") from error
    return text


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    check_handle(args.handle)
    if args.html and (fault := folder_fault(args.html)):
        raise _cannot_write(args.handle, args.html, fault)
    start_tensorflow()
    from hub_keras_bridge.facts.reading import load_module_spec
    from hub_keras_bridge.tools.inspect.inspection import inspect_module
    from hub_keras_bridge.tools.inspect.nodes import find_nodes
    from hub_keras_bridge.tools.inspect.nodes_text import format_nodes

    spec = load_module_spec(args.handle)
    if args.nodes is not None:
        nodes = find_nodes(spec, args.nodes)
        if args.json:
            print(json.dumps(dataclasses.asdict(nodes), indent=2))
        else:
            print(format_nodes(nodes, stdout_console()))
        return 0
    module = inspect_module(spec)
    if args.html:
        _write_page(module, args.html)
    if args.json:
        print(json.dumps(dataclasses.asdict(module), indent=2))
    elif args.html:
        print(f"Page: {args.html}")
    else:
        is_brief = sys.stdout.isatty() and not args.all
        print(format_summary(module, stdout_console(), most=BRIEF if is_brief else None))
    return 0


def _write_page(module: ModuleSummary, file: str) -> None:
    page = render_page(module)
    try:
        if os.path.exists(file) and not os.path.isfile(file):
            pathlib.Path(file).write_text(page, encoding="utf-8")  # Into a pipe, for one.
        else:
            with whole(os.path.realpath(file)) as made:
                pathlib.Path(made).write_text(page, encoding="utf-8")
    except OSError as error:
        raise _cannot_write(module.handle, file, error.strerror or str(error)) from error


def _cannot_write(handle: str, file: str, found: str) -> ExportError:
    return ExportError(
        "Cannot write the page of a TF1 Hub module.",
        Subject(redact(handle)),
        expected=f"a file that can be written at {os.path.abspath(file)}",
        found=found,
        advice="choose another file",
    )
