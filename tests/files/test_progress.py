"""The bar of what reads a long file."""

import io

import pytest
from rich.console import Console

from hub_keras_bridge.files.progress import file_bar


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("one line\n" * 100)
    return path


def terminal():
    return Console(file=io.StringIO(), force_terminal=True, width=80)


@pytest.mark.parametrize("times", [1, 2])
def test_on_a_terminal(file, times):
    console = terminal()
    with file_bar("Reading", str(file), console, times=times) as progress:
        for _ in range(times):
            assert "100%" not in console.file.getvalue()
            progress(file.stat().st_size)
    assert "100%" in console.file.getvalue()


def test_without_an_end():
    console = terminal()
    with file_bar("Reading", "-", console) as progress:
        progress(10)
    assert "Reading" in console.file.getvalue()
    assert "%" not in console.file.getvalue()


def test_elsewhere(file):
    console = Console(file=io.StringIO(), force_terminal=False)
    with file_bar("Reading", str(file), console) as progress:
        assert progress is None
    assert console.file.getvalue() == ""
