"""HTML out of facts: the few elements that pages are made of, all escaped.

A function that takes text escapes it; one that takes ``Html`` does not. Only
functions here turn the one into the other.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NewType

from hub_keras_bridge.errors.words import legible

Html = NewType("Html", str)


def text(written: str) -> Html:
    """Words as a page shows them.

    >>> text("a < b"), text("a\\u202eb")
    ('a &lt; b', 'a\\\\u202eb')
    """
    return Html(html.escape(legible(written)))


def code(name: str) -> Html:
    """A name from a module: in its own direction of writing, broken after a slash.

    >>> code("dense/<b>")
    '<code><bdi>dense/<wbr>&lt;b&gt;</bdi></code>'
    """
    return Html(f"<code><bdi>{re.sub('/', '/<wbr>', text(name))}</bdi></code>")


def quiet(written: str) -> Html:
    """Words that stand back; nothing at all where there are none."""
    return element("span", text(written), class_="quiet") if written else Html("")


def typed(dtype: str, shape: str) -> Html:
    """A dtype and a shape, each of which stays in one line."""
    return words(text(dtype), element("span", text(shape), class_="whole"))


_NOTHING = Html("")
_SPACE = Html(" ")
_NEW_LINE = Html("\n")


def join(parts: Iterable[Html], between: Html = _NOTHING) -> Html:
    """Several pieces one after the other."""
    return Html(between.join(parts))


def words(*parts: Html) -> Html:
    """Several pieces with a space between them; empty ones are left out."""
    return join(filter(None, parts), _SPACE)


def element(tag: str, *content: Html, **attributes: str | bool) -> Html:
    """An element. A trailing underscore of an attribute's name is dropped.

    >>> element("p", text("3 < 4"), class_="note", title='"', open=False)
    '<p class="note" title="&quot;">3 &lt; 4</p>'
    """
    shown = "".join(
        f" {key.rstrip('_')}" if value is True else f' {key.rstrip("_")}="{html.escape(value)}"'
        for key, value in attributes.items()
        if value is not False
    )
    return Html(f"<{tag}{shown}>{join(content)}</{tag}>")


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: its heading.
        numbers: whether it holds numbers, which stand flush right.
    """

    title: str
    numbers: bool = False


def table(caption: Html, columns: Sequence[Column], rows: Iterable[Sequence[Html]]) -> Html:
    """A table; the first cell of each row is the row's heading."""
    kinds = ["number" if column.numbers else False for column in columns]
    titles = [
        element("th", text(column.title), scope="col", class_=kind)
        for column, kind in zip(columns, kinds, strict=True)
    ]
    body = [
        element(
            "tr",
            element("th", row[0], scope="row"),
            *(element("td", c, class_=k) for c, k in zip(row[1:], kinds[1:], strict=True)),
        )
        for row in rows
    ]
    return element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *titles)),
        element("tbody", join(body, _NEW_LINE)),
    )
