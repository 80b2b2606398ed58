"""How much a command says, by ``--quiet`` and ``--verbose``: the same for all commands.

Results go to standard output at any level, errors to standard error.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from absl import logging

from hub_keras_bridge.files.progress import VARIABLE

# rich is imported for what is shown on a terminal.
if TYPE_CHECKING:
    from rich.console import Console


def add_verbosity(parser: argparse.ArgumentParser) -> None:
    """Adds ``--quiet`` and ``--verbose``, which stand before or behind a command's name."""
    levels = parser.add_mutually_exclusive_group()
    # A default would undo what stood before the name.
    for short, name, explanation in (
        ("-q", "--quiet", "results and errors alone: no progress, no remarks, no warnings"),
        ("-v", "--verbose", "also what TensorFlow and Keras say, and where an error came from"),
    ):
        levels.add_argument(
            short, name, action="store_true", default=argparse.SUPPRESS, help=explanation
        )


def set_up(args: argparse.Namespace) -> None:
    """Lets the libraries say as much as is asked for; before TensorFlow is imported."""
    if is_quiet(args):
        os.environ[VARIABLE] = "0"
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        logging.set_verbosity(logging.ERROR)
    elif is_verbose(args):
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "0"
        logging.set_verbosity(logging.INFO)


def is_quiet(args: argparse.Namespace) -> bool:
    """Whether ``--quiet`` was given."""
    return getattr(args, "quiet", False)


def is_verbose(args: argparse.Namespace) -> bool:
    """Whether ``--verbose`` was given."""
    return getattr(args, "verbose", False)


def remark(args: argparse.Namespace, text: str) -> None:
    """Says something beside the result, on standard error."""
    if not is_quiet(args):
        print(text, file=sys.stderr)


def progress_console(args: argparse.Namespace) -> Console:
    """Where bars of progress are shown, if standard error is a terminal."""
    from rich.console import Console

    return Console(stderr=True, force_terminal=False if is_quiet(args) else None)
