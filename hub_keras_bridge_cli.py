"""Where the command line enters; by it, the package knows that it need not import all it has."""

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; see ``hub_keras_bridge.cli.main``."""
    try:
        # Here, so that Ctrl-C finds who catches it.
        from hub_keras_bridge.cli import main as run

        return run(argv)
    except KeyboardInterrupt:
        print("hub-keras-bridge: interrupted", file=sys.stderr)
        return 130
