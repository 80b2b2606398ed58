"""``hub-keras-bridge completion``: what a shell needs to complete the command line."""

from __future__ import annotations

import argparse

from hub_keras_bridge.cli.commands import COMMANDS, PROGRAM, parser_of
from hub_keras_bridge.cli.completion_scripts import SCRIPTS
from hub_keras_bridge.cli.completion_words import words_of

_SET_UP = f"""\
To set it up for good:
  bash: eval "$({PROGRAM} completion bash)"     in ~/.bashrc
  zsh:  eval "$({PROGRAM} completion zsh)"      in ~/.zshrc, after compinit
  fish: {PROGRAM} completion fish > ~/.config/fish/completions/{PROGRAM}.fish
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Defines the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _SET_UP
    parser.add_argument("shell", choices=list(SCRIPTS), help="which shell completes")


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    print(SCRIPTS[args.shell](PROGRAM, words_of(parser_of(COMMANDS))), end="")
    return 0
