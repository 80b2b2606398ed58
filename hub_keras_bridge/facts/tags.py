"""The tags of a variant, as callers give them."""

from __future__ import annotations

from collections.abc import Iterable

from hub_keras_bridge.errors import TagsError


def as_tags(tags: Iterable[str] | None) -> frozenset[str]:
    """The set of tags that a caller means.

    Raises:
        TagsError: no collection, or a string, which would be taken for the set
            of its letters. Where that is the same, a string will do.

    >>> sorted(as_tags(["train", "bs4"])), sorted(as_tags(None)), sorted(as_tags("t"))
    (['bs4', 'train'], [], ['t'])
    """
    if isinstance(tags, str) and len(tags) > 1:
        raise TagsError(
            "The tags of a variant are a set, not a string.",
            expected="a collection of strings",
            found=repr(tags),
            advice=f"pass {{{tags!r}}}",
        )
    if not isinstance(tags, Iterable | None):
        raise TagsError(
            "The tags of a variant are a set of strings.",
            expected="a collection of strings",
            found=f"{type(tags).__name__}: {tags!r}",
            advice="pass a set, e.g. {'train'}",
        )
    return frozenset(() if tags is None else tags)
