"""Where the command line enters; by it, the package knows that it need not import all it has."""

from hub_keras_bridge.cli import main

__all__ = ["main"]
