"""One line of a file of embeddings: a token and its vector, or word2vec's header."""

from __future__ import annotations

import re

import numpy as np


class BrokenLineError(Exception):
    """A line that is no token with its vector."""

    def __init__(self, token: bytes, reason: str) -> None:
        super().__init__(f"token {_shown(token)}: {reason}")


def header(line: bytes) -> tuple[int, int] | None:
    """Number of tokens and of their numbers, as word2vec's first line has them.

    >>> header(b"400000 50"), header(b"the 0.5")
    ((400000, 50), None)
    """
    found = re.fullmatch(rb"([1-9]\d{0,17}) ([1-9]\d{0,17})", line)
    return (int(found[1]), int(found[2])) if found else None


def parse(line: bytes, dim: int | None) -> tuple[bytes, np.ndarray]:
    """Token and vector of a line.

    Args:
        line: without its end.
        dim: how many numbers there are to be; any but none at all if None.

    Raises:
        BrokenLineError: token or numbers are not as they should be.
    """
    token, *numbers = line.split(b" ")
    if not token:
        raise BrokenLineError(token, "is empty")
    try:
        token.decode()
    except UnicodeDecodeError as error:
        raise BrokenLineError(token, "is not UTF-8") from error
    if b"\r" in token:
        # TensorFlow would drop it from the vocabulary.
        raise BrokenLineError(token, "has a carriage return in it")
    if len(numbers) != dim if dim is not None else not numbers:
        raise BrokenLineError(token, f"has {len(numbers)} numbers")
    with np.errstate(over="ignore"):
        vector = np.array([_number(text, token) for text in numbers], np.float32)
    if not np.isfinite(vector).all():
        raise BrokenLineError(token, "has a number that is not finite, or too large for float32")
    return token, vector


def _number(text: bytes, token: bytes) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise BrokenLineError(token, f"has {_shown(text)} in place of a number") from error


def _shown(text: bytes) -> str:
    """Text for a message, short whatever the file is.

    >>> print(_shown("sät".encode()))
    'sät'
    """
    shown = text[:60].decode(errors="backslashreplace")
    return f"{shown!r}" + ("..." if len(text) > 60 else "")
