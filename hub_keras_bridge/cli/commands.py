"""The commands there are, and how their command line is read."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Collection
from dataclasses import dataclass
from types import ModuleType

from hub_keras_bridge.cli.startup import without_startup_messages
from hub_keras_bridge.cli.verbosity import add_verbosity
from hub_keras_bridge.version import VERSION

PROGRAM = "hub-keras-bridge"


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
        help="list, verify, remove or prune the modules in the cache (TFHUB_CACHE_DIR)",
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
    "completion": Command(
        help="print what lets bash, zsh or fish complete this command line",
        module="hub_keras_bridge.cli.completion",
    ),
    "resolve": Command(
        help="fetch a module into the cache if need be, and print its folder",
        module="hub_keras_bridge.cli.resolve",
    ),
}


def parser_of(loaded: Collection[str]) -> argparse.ArgumentParser:
    """Knows all commands by name, but only the arguments of some.

    Args:
        loaded: the commands whose arguments are to be known; others are not imported.
    """
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description="TF1 Hub modules in today's Keras and TensorFlow."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {VERSION}")
    add_verbosity(parser)
    parsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        arguments = parsers.add_parser(name, help=command.help, description=command.help)
        if name in loaded:
            command.load().add_arguments(arguments)
            _add_verbosity_below(arguments)
    return parser


def _add_verbosity_below(parser: argparse.ArgumentParser) -> None:
    """To a command, and to its actions if it has any."""
    add_verbosity(parser)
    for action in parser._actions:  # noqa: SLF001, argparse has no public way to them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for inner in action.choices.values():
                _add_verbosity_below(inner)
