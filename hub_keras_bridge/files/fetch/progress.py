"""A bar that shows how far a download is, where somebody looks."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

VARIABLE = "TFHUB_DOWNLOAD_PROGRESS"
_OFF = ("0", "false", "no", "off")


@contextmanager
def download_bar(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A function to call with the number of bytes that came in.

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
    # Imported here, since most runs show no bar.
    import rich.progress
    from rich.console import Console

    columns = (
        rich.progress.TextColumn("{task.description}", markup=False),
        rich.progress.BarColumn(),
        rich.progress.DownloadColumn(),
        rich.progress.TransferSpeedColumn(),
        rich.progress.TimeRemainingColumn(),
    )
    with rich.progress.Progress(*columns, console=Console(stderr=True), transient=not wish) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)
