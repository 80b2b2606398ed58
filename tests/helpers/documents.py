"""Code in the documentation, for the tests to run."""

import re

from helpers.places import ROOT

PAGES = sorted((ROOT / "docs").glob("*.md"))


def fenced_blocks(document):
    """Language and text of each fenced block of a Markdown file, in order."""
    text = (ROOT / document).read_text()
    return re.findall(r"^```([^\n]*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def code_blocks(document, language):
    """The fenced blocks of one language in a Markdown file, in order."""
    return [block for found, block in fenced_blocks(document) if found == language]


def programs(document):
    """The Python blocks that are no session for doctest."""
    return [b for b in code_blocks(document, "python") if not b.startswith(">>> ")]


def prose(document):
    """A Markdown file without its fenced blocks."""
    text = (ROOT / document).read_text()
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
