"""``hub-keras-bridge demo``: its arguments, and what it needs, told before it is imported."""

from __future__ import annotations

import argparse
from pathlib import Path

from hub_keras_bridge.cli.demo.settings import Settings
from hub_keras_bridge.cli.options import positive
from hub_keras_bridge.cli.startup import start_tensorflow, without_startup_messages
from hub_keras_bridge.errors import ExtraError
from hub_keras_bridge.running.engines.packages import missing

# Of the extra "demo": by what name it is imported, and installed.
_PACKAGES = {"matplotlib": "matplotlib", "sklearn": "scikit-learn"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Defines the command's arguments."""
    parser.add_argument(
        "--seeds",
        type=positive,
        default=Settings.seeds,
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
    """Runs the command.

    Raises:
        ExtraError: a package is missing; nothing else has been done then.
    """
    _require_packages()
    start_tensorflow()
    with without_startup_messages():
        from rich.console import Console

        from hub_keras_bridge.cli.demo.command import demo

    demo(Settings(seeds=args.seeds), args.output, Console(highlight=False))
    return 0


def _require_packages() -> None:
    if absent := missing(_PACKAGES):
        raise ExtraError(
            "Cannot run the demo: a package is not installed.",
            expected=f"the packages {', '.join(_PACKAGES.values())}",
            found=f"no {', '.join(_PACKAGES[name] for name in absent)}",
            advice="python -m pip install 'hub_keras_bridge[demo]'",
        )
