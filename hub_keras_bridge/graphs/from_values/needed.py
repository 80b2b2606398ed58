"""Why a graph cannot be given the values of its variables."""

from __future__ import annotations


class HandleNeeded(Exception):
    """Something takes a variable's handle that would not take its value."""
