"""``hub-keras-bridge demo``: its arguments, known before its libraries are imported."""

from __future__ import annotations

import argparse
from pathlib import Path

from hub_keras_bridge.cli.options import positive
from hub_keras_bridge.cli.startup import start_tensorflow, without_startup_messages


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Defines the command's arguments."""
    parser.add_argument(
        "--seeds",
        type=positive,
        default=5,
        metavar="N",
        help="how often to repeat the transfer (default: %(default)s)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("hub_keras_bridge_demo"),
        metavar="FOLDER",
        help="where the results go; those of an earlier demo are replaced (default: ./%(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    start_tensorflow()
    with without_startup_messages():
        from rich.console import Console

        from hub_keras_bridge.cli.demo.command import demo
        from hub_keras_bridge.cli.demo.experiment import Settings

    demo(Settings(seeds=args.seeds), args.output, Console(highlight=False))
    return 0
