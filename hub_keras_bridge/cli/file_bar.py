"""A bar that shows how far a file has been read, where somebody looks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import rich.progress
from rich.console import Console


@contextmanager
def file_bar(
    what: str, path: str, console: Console, *, times: int = 1
) -> Iterator[Callable[[int], None] | None]:
    """What to call with the number of bytes that were read; None where there is no terminal.

    Args:
        what: the text before the bar.
        path: the file. One without a length, such as standard input, has a bar
            that runs to and fro.
        console: where the bar is shown.
        times: how often the file is read.
    """
    if not console.is_terminal:
        yield None
        return
    columns = (
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.TaskProgressColumn(),
        rich.progress.TimeRemainingColumn(),
    )
    with rich.progress.Progress(*columns, console=console, transient=True) as bar:
        total = times * os.path.getsize(path) if os.path.isfile(path) else None
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)
