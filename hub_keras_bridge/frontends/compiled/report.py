"""What was found out about engines, to be read."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

_WIDTH = 110


@dataclass(frozen=True)
class Report:
    """The engines of a compiled module: times, choices, exclusions.

    Attributes:
        subject: module, tags and signature.
        times: batch size -> engine -> seconds of a call; empty where no choice was left.
        choices: batch size -> the engine that runs such batches.
        differences: engine -> its largest difference from TensorFlow's numbers, as a part of
            the largest number in the output.
        excluded: engine -> why it is not used.
        kept: whether this was found out earlier, and read from where it was kept.
    """

    subject: str
    times: Mapping[int, Mapping[str, float]]
    choices: Mapping[int, str]
    differences: Mapping[str, float]
    excluded: Mapping[str, str]
    kept: bool = False

    @property
    def engines(self) -> tuple[str, ...]:
        """All that run some batches, the one for the smallest first."""
        return tuple(dict.fromkeys(self.choices[size] for size in sorted(self.choices)))

    def table(self) -> Table:
        """For a console of ``rich``."""
        names = list(dict.fromkeys(name for times in self.times.values() for name in times))
        names = names or list(self.engines)
        table = Table(title="Milliseconds per call", title_justify="left")
        table.add_column("batch", justify="right")
        for name in names:
            table.add_column(name, justify="right")
        table.add_column("runs")
        for size, chosen in sorted(self.choices.items()):
            times = self.times.get(size, {})
            shown = [f"{1e3 * times[name]:.3g}" if name in times else "" for name in names]
            table.add_row(str(size), *shown, chosen)
        return table

    def show(self, console: Console) -> None:
        """Prints times, choices and reasons."""
        console.print(f"Compiled: {self.subject}", highlight=False, markup=False)
        console.print(self.table())
        for name, value in self.differences.items():
            difference = f"{name}: differs from TensorFlow by {value:.2g} of the largest number"
            console.print(difference, highlight=False, markup=False)
        for name, reason in self.excluded.items():
            console.print(f"{name}: not used. {reason}", highlight=False, markup=False)

    def __str__(self) -> str:
        text = io.StringIO()
        self.show(Console(file=text, width=_WIDTH))
        return text.getvalue().rstrip()

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "times": {str(size): dict(times) for size, times in self.times.items()},
            "choices": {str(size): name for size, name in self.choices.items()},
            "differences": dict(self.differences),
            "excluded": dict(self.excluded),
        }

    @classmethod
    def from_json(cls, subject: str, found: Mapping[str, Any]) -> Report:
        """What :meth:`to_json` wrote."""
        return cls(
            subject,
            {int(size): times for size, times in found["times"].items()},
            {int(size): name for size, name in found["choices"].items()},
            found["differences"],
            found["excluded"],
            kept=True,
        )
