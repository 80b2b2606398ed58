"""A bar that shows how far a long job is, where somebody looks."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

# rich is imported for a bar alone, since most runs show none.
if TYPE_CHECKING:
    from rich.console import Console

VARIABLE = "TFHUB_DOWNLOAD_PROGRESS"
_OFF = ("0", "false", "no", "off")

# Told how much more is done: bytes of a file, as it lies on disk, or steps.
Progress = Callable[[int], None]
# Told what begins; gives what is to be told how much of it is done.
Stages = Callable[[str], Progress]


@contextmanager
def download_bar(what: str, total: int | None) -> Iterator[Progress]:
    """A bar for bytes that come in.

    The bar is on stderr if that is a terminal. ``TFHUB_DOWNLOAD_PROGRESS=0``
    leaves it out; with any other value a file gets the bar's last state, too.

    Args:
        what: the text before the bar.
        total: bytes to come; None if that is not known.
    """
    wish = os.environ.get(VARIABLE, "")
    if wish.lower() in _OFF or not (sys.stderr.isatty() or wish):
        yield lambda _: None
        return
    from rich.console import Console

    with staged_bar(
        total, Console(stderr=True), of_bytes=True, shows_amount=True, stays=bool(wish)
    ) as stage:
        yield stage(what)


@contextmanager
def file_bar(
    what: str, path: str, console: Console, *, times: int = 1
) -> Iterator[Progress | None]:
    """A bar for the bytes of a file that were read; None where there is no terminal.

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
    total = times * os.path.getsize(path) if os.path.isfile(path) else None
    with staged_bar(total, console, of_bytes=True) as stage:
        yield stage(what)


@contextmanager
def staged_bar(
    total: int | None,
    console: Console,
    *,
    of_bytes: bool = False,
    shows_amount: bool = False,
    stays: bool = False,
) -> Iterator[Stages]:
    """One bar for all stages of a job.

    Args:
        total: of all stages together; None if that is not known.
        console: where the bar is shown.
        of_bytes: whether bytes are counted, which have a speed.
        shows_amount: whether to show the amount, and not the share.
        stays: whether the bar is still there afterwards.
    """
    from rich import progress

    columns = (
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.DownloadColumn() if shows_amount else progress.TaskProgressColumn(),
        *([progress.TransferSpeedColumn()] if of_bytes else []),
        progress.TimeRemainingColumn(elapsed_when_finished=True),
    )
    with progress.Progress(*columns, console=console, transient=not stays) as bar:
        task = bar.add_task("", total=total)

        def stage(what: str) -> Progress:
            bar.update(task, description=what)
            return functools.partial(bar.advance, task)

        yield stage
