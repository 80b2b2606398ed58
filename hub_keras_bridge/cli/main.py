"""Reads the command line and runs the command it names."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

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
        return importlib.import_module(self.module)


COMMANDS = {
    "demo": Command(
        help="train, publish, load back and fine-tune a small module on handwritten digits",
        module="hub_keras_bridge.cli.demo",
    ),
    "check-signatures": Command(
        help="say whether a module follows the common signatures for text or images",
        module="hub_keras_bridge.cli.check_signatures",
    ),
    "publish-text-embedding": Command(
        help="make a module from a file with an embedding per token, such as GloVe's",
        module="hub_keras_bridge.cli.publish_text_embedding",
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: the arguments; those of the process if None.

    Returns:
        The exit status: 0 for success, 1 for an error that was told on stderr,
        130 after Ctrl-C. Usage errors exit with status 2 on their own.
    """
    argv = sys.argv[1:] if argv is None else argv
    args = _parser(argv).parse_args(argv)
    try:
        return COMMANDS[args.command].load().run(args)
    except HubError as error:
        print(f"{_PROGRAM} {args.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{_PROGRAM} {args.command}: interrupted", file=sys.stderr)
        return 130


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
