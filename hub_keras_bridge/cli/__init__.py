"""The command line: ``hub-keras-bridge COMMAND``."""

from hub_keras_bridge.cli.main import main

__all__ = ["main"]
