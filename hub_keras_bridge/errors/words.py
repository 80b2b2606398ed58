"""Facts of a module in words that a person can read, on paper or a terminal.

Names in a module are a stranger's text: they may hold control characters that
a terminal obeys, or marks that turn the direction of what stands around them.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Sequence
from typing import TypeVar

from hub_keras_bridge.errors.redaction import redact

_Name = TypeVar("_Name")
_Facts = TypeVar("_Facts", bound=Hashable)

_LONGEST_URL = 500


def legible(text: str) -> str:
    r"""A stranger's text with everything invisible in it spelled out.

    >>> legible("dense/kernel"), legible("\x1b[2Jgone"), legible("a\u202eb")
    ('dense/kernel', '\\x1b[2Jgone', 'a\\u202eb')
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


def set_of(names: Iterable[str]) -> str:
    """A set of names as Python writes it, in order.

    >>> set_of({"b", "a"})
    "{'a', 'b'}"
    """
    return f"{{{', '.join(repr(legible(name)) for name in sorted(names))}}}"


def show_url(url: str) -> str:
    r"""A URL without secrets, legible, and of bounded length.

    >>> show_url("https://me:pass@host/\u202em?token=1"), len(show_url("gs://" + "m" * 10**6))
    ('https://***@host/\\u202em?token=***', 503)
    """
    shown = redact(url)
    return legible(shown if len(shown) <= _LONGEST_URL else f"{shown[:_LONGEST_URL]}...")


def show_bytes(count: int) -> str:
    """A size in decimal units.

    >>> show_bytes(999), show_bytes(1000), show_bytes(17_543_680), show_bytes(999_960)
    ('999 B', '1.0 kB', '17.5 MB', '1.0 MB')
    """
    if count < 1000:
        return f"{count} B"
    size = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        size /= 1000
        if round(size, 1) < 1000 or unit == "TB":
            break
    return f"{size:,.1f} {unit}"


def show_number(count: int, noun: str) -> str:
    """A number of things.

    >>> show_number(1, "variable"), show_number(1200, "variable"), show_number(0, "loss/losses")
    ('1 variable', '1,200 variables', '0 losses')
    """
    singular, _, plural = noun.partition("/")
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def show_share(part: int, whole: int) -> str:
    """What part of a whole something is.

    >>> show_share(1, 3), show_share(1, 100_000), show_share(0, 0), show_share(99_999, 100_000)
    ('33.3 %', '< 0.1 %', '0 %', '> 99.9 %')
    """
    if part in (0, whole):
        return "100 %" if part else "0 %"
    percent = 100 * part / whole
    if percent < 0.1:
        return "< 0.1 %"
    return "> 99.9 %" if percent > 99.9 else f"{percent:.1f} %"


def show_shape(shape: Iterable[int | None] | None) -> str:
    """A shape, of plain numbers or TensorFlow's.

    >>> show_shape((None, 3)), show_shape(()), show_shape(None)
    ('[?, 3]', '[]', '[unknown rank]')
    """
    # One of TensorFlow's whose rank is unknown yields no sizes, but an error.
    if shape is None or getattr(shape, "rank", 0) is None:
        return "[unknown rank]"
    return "[" + ", ".join("?" if size is None else str(size) for size in shape) + "]"


def show_dtype(dtype: str, kind: str) -> str:
    """A dtype, and of what kind of tensor unless it is dense.

    >>> show_dtype("int64", "dense"), show_dtype("int64", "sparse")
    ('int64', 'sparse int64')
    """
    return dtype if kind == "dense" else f"{kind} {dtype}"


def inference_first(tags: Collection[str]) -> tuple[int, list[str]]:
    """A key that sorts variants, those with the fewest tags first.

    >>> sorted([{"train"}, {"bs4", "train"}, set()], key=inference_first)[0]
    set()
    """
    return len(tags), sorted(tags)


def show_variants(variants: Sequence[Iterable[str]], of: int) -> str:
    """Which of a module's variants something is true of.

    Args:
        variants: the tags of each of them.
        of: how many variants the module has.

    >>> show_variants([[]], of=1), show_variants([[], ["train"]], of=2)
    ('variant {}', 'all variants')
    >>> show_variants([["train"], ["bs4", "train"]], of=3)
    "variants {'train'}, {'bs4', 'train'}"
    """
    if len(variants) == of > 1:
        return "all variants"
    return ("variant " if len(variants) == 1 else "variants ") + ", ".join(map(show_tags, variants))


def alike(pairs: Iterable[tuple[_Name, _Facts]]) -> list[tuple[list[_Name], _Facts]]:
    """Says once what is true of several.

    >>> alike([("cat", 4), ("bird", 2), ("dog", 4)])
    [(['cat', 'dog'], 4), (['bird'], 2)]
    """
    found: dict[_Facts, list[_Name]] = {}
    for name, facts in pairs:
        found.setdefault(facts, []).append(name)
    return [(names, facts) for facts, names in found.items()]


def show_tags(tags: Iterable[str]) -> str:
    """Shows a variant's tags as a set.

    >>> show_tags({"train", "bs4"}), show_tags([])
    ("{'bs4', 'train'}", '{}')
    """
    return "{" + listed(map(repr, sorted(tags))) + "}"


def choices(names: Iterable[str], limit: int = 40) -> str:
    """Lists the names to choose from, the first ``limit`` of them.

    >>> choices(["b", "a"])
    "'a', 'b'"
    >>> choices(["c", "b", "a"], limit=2)
    "'a', 'b' and 1 more"
    >>> choices([])
    'none'
    """
    return listed(map(repr, sorted(set(names))), limit) or "none"


def listed(texts: Iterable[str], limit: int = 40, separator: str = ", ") -> str:
    """The first ``limit`` of some texts, and how many more there are.

    >>> listed(["{}", "{'train'}"]), listed("abc", limit=2)
    ("{}, {'train'}", 'a, b and 1 more')
    """
    several = list(texts)
    shown, rest = separator.join(several[:limit]), len(several) - limit
    return f"{shown} and {rest} more" if rest > 0 else shown
