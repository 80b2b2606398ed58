"""Where a command prints to: a terminal has a width, a pipe or file has none."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

# rich is imported where something is laid out, since most runs print lines.
if TYPE_CHECKING:
    from rich.console import Console

# Columns, more than any line needs.
_UNBOUNDED = 2**16


def stdout_console() -> Console:
    """A console for standard output, as wide as a terminal, and else without an end.

    Names are copied out of a pipe or file, so that no line is broken there. A letter
    that standard output's encoding lacks is spelled out.
    """
    from rich.console import Console

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    width = None if sys.stdout.isatty() else _UNBOUNDED
    return Console(highlight=False, width=width)
