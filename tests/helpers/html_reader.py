"""Reads HTML strictly, to check what is written."""

from html.parser import HTMLParser

_VOID = {"meta", "wbr"}


class Page(HTMLParser):
    """The elements of a page, and the text in them; refuses unbalanced tags.

    Attributes:
        elements: (tag, attributes) in the order of the page.
        text: all that is shown, tag by tag; style and title left out.
        headings: (level, text).
        tables: per table its rows, per row the text of its cells.
    """

    def __init__(self, markup):
        super().__init__(convert_charrefs=True)
        self.elements, self.text, self.headings, self.tables = [], [], [], []
        self._open = []
        self.feed(markup)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)
        if tag in ("h1", "h2", "h3"):
            self.headings.append([int(tag[1]), ""])
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attrs):
        assert tag == "rect"
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if {"style", "title"} & set(self._open):
            return
        self.text.append(data)
        if {"h1", "h2", "h3"} & set(self._open):
            self.headings[-1][1] += data
        if {"td", "th"} & set(self._open):
            self.tables[-1][-1][-1] += data

    def all(self, tag):
        """The attributes of all elements of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]
