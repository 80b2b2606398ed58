"""What the demo shows of its experiment: a table, a verdict, a plot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich.table import Table

from hub_keras_bridge.cli.demo.examples import CLASSES
from hub_keras_bridge.cli.demo.experiment import Comparison, Transfer

_FROZEN_COLOR = "#4c78a8"
_TUNED_COLOR = "#d95f02"


def accuracy_table(
    frozen: np.ndarray, tuned: np.ndarray, train_examples: int, test_examples: int
) -> Table:
    """Test accuracies of both ways, per seed and over all.

    Args:
        frozen: accuracy of each seed's model on the frozen module.
        tuned: likewise, with the module fine-tuned.
        train_examples: how many of each class were trained on.
        test_examples: how many the accuracies are of.
    """
    table = Table(
        title="Test accuracy on digits 5 to 9",
        caption=f"{test_examples} test examples, {CLASSES * train_examples} training examples",
    )
    for header in ("seed", "frozen", "fine-tuned", "difference"):
        table.add_column(header, justify="right")
    for seed, (one, other) in enumerate(zip(frozen, tuned, strict=True)):
        table.add_row(str(seed), f"{one:.1%}", f"{other:.1%}", f"{100 * (other - one):+.1f}")
    table.add_section()
    for label, one, other, difference in _statistics(frozen, tuned):
        table.add_row(label, f"{one:.1%}", f"{other:.1%}", difference)
    return table


def verdict(frozen: np.ndarray, tuned: np.ndarray) -> str:
    """Says whether fine-tuning paid.

    >>> import numpy as np
    >>> verdict(np.array([0.5, 0.6]), np.array([0.7, 0.65]))
    'Fine-tuned beat frozen in 2 of 2 seed(s), by 12.5 points of accuracy on average.'
    >>> verdict(np.array([0.5, 0.6]), np.array([0.51, 0.4]))
    'Fine-tuned did NOT beat frozen: better in 1 of 2 seed(s), -9.5 points of accuracy on average.'
    """
    wins = f"in {np.sum(tuned > frozen)} of {len(tuned)} seed(s)"
    gain = 100 * np.mean(tuned - frozen)
    if gain > 0 and np.mean(tuned > frozen) > 0.5:
        return f"Fine-tuned beat frozen {wins}, by {gain:.1f} points of accuracy on average."
    return (
        f"Fine-tuned did NOT beat frozen: better {wins}, {gain:+.1f} points of accuracy on average."
    )


def plot_curves(comparison: Comparison, train_examples: int) -> Figure:
    """Draws test accuracy by epoch: the mean of the seeds, and their range."""
    figure = Figure(figsize=(7, 4.3), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for label, done, color in (
        ("fine-tuned", comparison.tuned, _TUNED_COLOR),
        ("frozen", comparison.frozen, _FROZEN_COLOR),
    ):
        curves = np.array([transfer.curve for transfer in done])
        epochs = np.arange(1, curves.shape[1] + 1)
        axes.plot(epochs, curves.mean(axis=0), color=color, linewidth=2, label=label)
        axes.fill_between(
            epochs, curves.min(axis=0), curves.max(axis=0), color=color, alpha=0.2, linewidth=0
        )
    axes.axhline(1 / CLASSES, color="gray", linestyle=":")
    axes.annotate(
        "chance",
        (1, 1 / CLASSES),
        xycoords=("axes fraction", "data"),
        xytext=(-2, 3),
        textcoords="offset points",
        horizontalalignment="right",
        color="gray",
    )
    axes.set(
        title=f"From digits 0-4 to digits 5-9, {train_examples} examples of each",
        xlabel="epoch",
        ylabel="test accuracy",
        ylim=(0, 1),
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    seeds = len(comparison.tuned)
    title = f"mean and range of {seeds} seeds" if seeds > 1 else "one seed"
    axes.legend(loc="upper left", title=title, ncols=2, frameon=False, alignment="left")
    return figure


def final(done: Sequence[Transfer]) -> np.ndarray:
    """Each model's test accuracy in the end."""
    return np.array([transfer.curve[-1] for transfer in done])


def _statistics(
    frozen: np.ndarray, tuned: np.ndarray
) -> Iterator[tuple[str, np.floating, np.floating, str]]:
    """Label, of frozen, of tuned, and of their difference as it is shown."""
    gain = 100 * (tuned - frozen)
    yield "mean", np.mean(frozen), np.mean(tuned), f"{np.mean(gain):+.1f}"
    if len(gain) > 1:  # one seed has no spread
        frozen_spread, tuned_spread, spread = (np.std(v, ddof=1) for v in (frozen, tuned, gain))
        yield "standard deviation", frozen_spread, tuned_spread, f"{spread:.1f}"
