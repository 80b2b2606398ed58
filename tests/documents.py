"""Code in the documentation, for the tests to run."""

import pathlib
import re

ROOT = pathlib.Path(__file__).parent.parent


def code_blocks(document, language):
    """The fenced blocks of one language in a Markdown file, in order."""
    text = (ROOT / document).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
