"""The elements that pages are made of."""

import pytest

from hub_keras_bridge.facts.shown.markup import (
    Column,
    Html,
    code,
    element,
    quiet,
    table,
    text,
    typed,
    words,
)

ATTACK = "<img src=x onerror=alert(1)>\"'&\x1b\u202e"


@pytest.mark.parametrize("show", [text, code, quiet])
def test_what_takes_text_escapes_it(show):
    shown = show(ATTACK)
    assert "&lt;img src=x onerror=alert(1)&gt;&quot;&#x27;&amp;\\x1b\\u202e" in shown
    assert "<img" not in shown


def test_attributes_are_escaped():
    assert element("p", title='"><script>') == '<p title="&quot;&gt;&lt;script&gt;"></p>'


def test_attributes_that_are_on_or_off():
    assert element("details", open=True) == "<details open></details>"
    assert element("details", open=False) == "<details></details>"


def test_nothing_stands_back_as_nothing():
    assert quiet("") == ""
    assert words(text("a"), quiet(""), text("b")) == "a b"


def test_names_may_break_after_a_slash_only():
    assert code("a/b_c") == "<code><bdi>a/<wbr>b_c</bdi></code>"


def test_a_shape_stays_whole():
    assert typed("int8", "[?, 3]") == 'int8 <span class="whole">[?, 3]</span>'


def test_table():
    columns = (Column("Name"), Column("Count", numbers=True))
    assert table(text("All"), columns, [(text("a"), text("1"))]) == Html(
        "<table><caption>All</caption>"
        '<thead><tr><th scope="col">Name</th><th scope="col" class="number">Count</th></tr></thead>'
        '<tbody><tr><th scope="row">a</th><td class="number">1</td></tr></tbody></table>'
    )


def test_rows_have_a_cell_for_each_column():
    with pytest.raises(ValueError, match="zip"):
        table(text("All"), (Column("Name"),), [(text("a"), text("1"))])
