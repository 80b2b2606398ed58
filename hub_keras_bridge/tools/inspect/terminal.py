"""Names and tables on a terminal, which may be narrow."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

from hub_keras_bridge.errors.words import legible

_UNBOUNDED = 2**16
# Columns between two columns of a table.
_GAP = 3


class ModuleName:
    """A name from a module, broken after a slash where it must be broken."""

    def __init__(self, name: str, note: str = "", style: str = "") -> None:
        parts = [(part, style) for part in re.findall("[^/]*/|[^/]+", legible(name))]
        remark = f" ({note})" if note else ""
        self._parts = parts + [(word, "dim") for word in re.findall(r" \S+", remark)]

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        lengths = [cell_len(part) for part, _ in self._parts] or [0]
        return Measurement(max(lengths), sum(lengths)).with_maximum(options.max_width)

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        line, width = Text(overflow="fold", no_wrap=False), 0
        for part, style in self._parts:
            if line and width + cell_len(part) > options.max_width:
                yield line
                line, width, part = Text(overflow="fold", no_wrap=False), 0, part.lstrip()
            line.append(part, style)
            width += cell_len(part)
        yield line


def table_of(*columns: str, numbers: Sequence[str] = ()) -> Table:
    """A table without rows as yet; columns of numbers are set to the right."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold", justify="right" if column in numbers else "left")
    return table


def keep_names_whole(table: Table, folded: str, console: Console) -> None:
    """Lets one column be folded before the others, names above all, if that is enough.

    Names are copied, into ``trainable_patterns`` for example.
    """
    options = console.options.update_width(_UNBOUNDED)

    def width(column: Column, measure: str) -> int:
        cells = (column.header, *column.cells)
        return max(getattr(Measurement.get(console, options, cell), measure) for cell in cells)

    widths = [
        width(column, "minimum" if column.header == folded else "maximum")
        for column in table.columns
    ]
    if sum(widths) + _GAP * (len(widths) - 1) <= console.width:
        for column in table.columns:
            column.no_wrap = column.header != folded
