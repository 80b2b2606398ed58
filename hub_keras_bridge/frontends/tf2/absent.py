"""What is said of attributes that the original library's objects have, and ours have not."""

from __future__ import annotations

from collections.abc import Mapping


def absent(owner: object, name: str, instead: Mapping[str, str]) -> str:
    """The text of an AttributeError.

    Args:
        owner: what was asked.
        name: for which attribute.
        instead: attribute of the original's -> what to do, where that is known.

    >>> absent("some", "restore", {"restore": "assign to its variables"})
    "'str' object has no attribute 'restore': assign to its variables"
    >>> absent("some", "other", {})
    "'str' object has no attribute 'other'"
    """
    told = f"{type(owner).__name__!r} object has no attribute {name!r}"
    return f"{told}: {instead[name]}" if name in instead else told
