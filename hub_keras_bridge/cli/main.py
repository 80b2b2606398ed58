"""Reads the command line and runs the command it names."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

from hub_keras_bridge.cli.error_line import error_line
from hub_keras_bridge.cli.startup import without_startup_messages
from hub_keras_bridge.errors import HubError
from hub_keras_bridge.version import VERSION

_PROGRAM = "hub-keras-bridge"


@dataclass(frozen=True)
class Command:
    """One command, known before the code behind it is imported.

    Attributes:
        help: what it does, in a line.
        module: where its ``add_arguments(parser)`` and ``run(args) -> int`` are.
    """

    help: str
    module: str

    def load(self) -> ModuleType:
        """Imports the command, and with it the libraries that only it needs."""
        with without_startup_messages():
            return importlib.import_module(self.module)


COMMANDS = {
    "demo": Command(
        help="train, publish, load back and fine-tune a small module on handwritten digits",
        module="hub_keras_bridge.cli.demo.arguments",
    ),
    "apply": Command(
        help="run a module over a file of examples and write a file of results",
        module="hub_keras_bridge.cli.apply",
    ),
    "cache": Command(
        help="list, verify or prune the modules in the cache (TFHUB_CACHE_DIR)",
        module="hub_keras_bridge.cli.cache",
    ),
    "audit": Command(
        help="list what a module may touch outside itself; status 0 if safe mode takes it",
        module="hub_keras_bridge.cli.audit",
    ),
    "inspect": Command(
        help="say what a module holds: signatures, variables, assets, ops",
        module="hub_keras_bridge.cli.inspect",
    ),
    "check-signatures": Command(
        help="say whether a module follows a common signature for text or images; status 1 if not",
        module="hub_keras_bridge.cli.check_signatures",
    ),
    "compile": Command(
        help="compare and time inference engines on a module, and keep what is fastest",
        module="hub_keras_bridge.cli.compile",
    ),
    "convert": Command(
        help="make a SavedModel, Keras, TensorFlow Lite, ONNX, OpenVINO or Hub model of a module",
        module="hub_keras_bridge.cli.convert",
    ),
    "pack": Command(
        help="pack a module's folder into a tar.gz file, to be hosted on any static web server",
        module="hub_keras_bridge.cli.pack",
    ),
    "publish-text-embedding": Command(
        help="make a module from a file with an embedding per token, such as GloVe's",
        module="hub_keras_bridge.cli.publish_text_embedding",
    ),
    "resolve": Command(
        help="fetch a module into the cache if need be, and print its folder",
        module="hub_keras_bridge.cli.resolve",
    ),
}


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
    args = _parser(argv).parse_args(argv)
    try:
        return COMMANDS[args.command].load().run(args)
    except HubError as error:
        print(f"{_PROGRAM} {args.command}: {error_line(error, vars(args))}", file=sys.stderr)
        if getattr(args, "json", False):
            _print_as_json(error)
        return 1
    except BrokenPipeError:
        # Whoever read the output has enough of it; Python would say so at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print(f"{_PROGRAM} {args.command}: interrupted", file=sys.stderr)
        return 130


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


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """Knows all commands, but the arguments of the chosen one alone."""
    parser = argparse.ArgumentParser(
        prog=_PROGRAM, description="TF1 Hub modules in today's Keras and TensorFlow."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {VERSION}")
    parsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    # No option before the command takes a value, so its name stands first.
    chosen = next((argument for argument in argv if not argument.startswith("-")), None)
    for name, command in COMMANDS.items():
        arguments = parsers.add_parser(name, help=command.help, description=command.help)
        if name == chosen:
            command.load().add_arguments(arguments)
    return parser
