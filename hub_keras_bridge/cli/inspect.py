"""``hub-keras-bridge inspect``: describes a module without running it."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import io
import json
import os
import pathlib
import re
import sys
from collections.abc import Callable

from rich.console import Console

from hub_keras_bridge.cli.options import add_handle, add_json
from hub_keras_bridge.cli.startup import start_tensorflow
from hub_keras_bridge.errors import ExportError, Subject
from hub_keras_bridge.files.fetch.resolve import check_handle
from hub_keras_bridge.files.writing import whole
from hub_keras_bridge.tools.inspect.page import render_page
from hub_keras_bridge.tools.inspect.summary import ModuleSummary
from hub_keras_bridge.tools.inspect.text import format_summary

# Columns, more than any line needs.
_UNBOUNDED = 2**16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Defines the command's arguments."""
    add_handle(parser)
    add_json(parser)
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
            print(_on_terminal(functools.partial(format_nodes, nodes)))
        return 0
    module = inspect_module(spec)
    if args.html:
        _write_page(module, args.html)
    if args.json:
        print(json.dumps(dataclasses.asdict(module), indent=2))
    elif args.html:
        print(f"Page: {args.html}")
    else:
        print(_on_terminal(functools.partial(format_summary, module)))
    return 0


def _on_terminal(form: Callable[[Console], str]) -> str:
    # A name may have letters that standard output's encoding has not.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    # Names are copied out of a pipe or file, so that no line is broken there.
    width = None if sys.stdout.isatty() else _UNBOUNDED
    return form(Console(highlight=False, width=width))


def _write_page(module: ModuleSummary, file: str) -> None:
    page = render_page(module)
    try:
        if os.path.exists(file) and not os.path.isfile(file):
            pathlib.Path(file).write_text(page, encoding="utf-8")  # Into a pipe, for one.
        else:
            with whole(os.path.realpath(file)) as made:
                pathlib.Path(made).write_text(page, encoding="utf-8")
    except OSError as error:
        raise ExportError(
            "Cannot write the page of a TF1 Hub module.",
            Subject(module.handle),
            expected=f"a file that can be written at {os.path.abspath(file)}",
            found=error.strerror or str(error),
            advice="choose another file",
        ) from error
