"""The pages in docs/: each example runs, and shows what it says."""

import doctest
import pathlib
import re

import pytest

PAGES = sorted((pathlib.Path(__file__).parent.parent / "docs").glob("*.md"))
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_examples(page, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    result = doctest.testfile(str(page), module_relative=False, optionflags=FLAGS)
    assert result.failed == 0


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_no_python_block_is_passed_over(page):
    """Whole programs, which tests start in processes of their own, begin with an import."""
    for block in re.findall("```python\n(.*?)```", page.read_text(), re.DOTALL):
        is_program = page.stem in ("distribute", "export") and block.startswith(("import", '"""'))
        assert block.startswith(">>> ") or is_program
