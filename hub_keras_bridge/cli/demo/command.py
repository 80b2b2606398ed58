"""``hub-keras-bridge demo``: runs the demo's experiment and shows what came of it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rich.progress
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich.console import Console
from rich.table import Table

from hub_keras_bridge.cli.demo.experiment import (
    CLASSES,
    Comparison,
    Progress,
    Settings,
    Transfer,
    compare,
    difference_after_reload,
    publish,
)
from hub_keras_bridge.cli.startup import start_tensorflow
from hub_keras_bridge.errors import ExportError, HubError, choices, show_tags
from hub_keras_bridge.facts.reading import load_module_spec
from hub_keras_bridge.files.unfinished import whole

_FROZEN_COLOR = "#4c78a8"
_TUNED_COLOR = "#d95f02"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Defines the command's arguments."""
    parser.add_argument(
        "--seeds",
        type=_positive,
        default=Settings.seeds,
        metavar="N",
        help="how often to repeat the transfer (default: %(default)s)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("hub_keras_bridge_demo"),
        metavar="FOLDER",
        help="where the results go; those of an earlier demo are replaced (default: ./%(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    start_tensorflow()
    demo(Settings(seeds=args.seeds), args.output, Console(highlight=False))
    return 0


def demo(settings: Settings, folder: Path, console: Console) -> None:
    """Publishes, transfers, compares, plots, saves and reloads.

    Args:
        settings: what the experiment depends on.
        folder: gets the module, the plot and the Keras model.
        console: where progress and results are shown.

    Raises:
        ExportError: the folder cannot be written, or holds files but is not an
            earlier demo's.
    """
    module, plot, saved = (
        folder / name for name in ("digits_module", "transfer.png", "digits.keras")
    )
    _make_room(folder, module, plot, saved)
    with _progress(console, settings.total_epochs) as progress:
        publish(module, settings, progress)
        comparison = compare(module, settings, progress)

    frozen, tuned = _final(comparison.frozen), _final(comparison.tuned)
    test_examples = len(comparison.tuned[0].test)
    console.print()
    console.print(accuracy_table(frozen, tuned, settings.examples, test_examples))
    console.print(verdict(frozen, tuned))
    console.print()

    with whole(str(plot)) as file:
        plot_curves(comparison, settings.examples).savefig(file)
    difference = difference_after_reload(comparison.tuned[-1], saved)
    for label, path, note in (
        ("TF1 Hub module", module, _contents(module)),
        ("learning curves", plot, ""),
        ("Keras model", saved, f"reloaded, its logits differ by at most {difference:.2g}"),
    ):
        # A path is shown in one piece, and brackets in it are no markup.
        console.print(f"{label}: {path}", markup=False, soft_wrap=True)
        if note:
            console.print(f"  {note}", markup=False)


# --- what is shown ---


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


def _final(done: Sequence[Transfer]) -> np.ndarray:
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


def _contents(module: Path) -> str:
    spec = load_module_spec(module)
    variants = " and ".join(show_tags(tags) for tags in spec.get_tags())
    signatures = " and ".join(repr(name) for name in spec.get_signature_names())
    return f"variants {variants}, signatures {signatures}"


# --- progress ---


class _Lines:
    """A line per stage, for files and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def stage(self, text: str) -> None:
        self._console.print(text)

    def epoch(self) -> None:
        pass


class _Bar:
    """One live bar for the whole experiment."""

    def __init__(self, bar: rich.progress.Progress, total: int) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=total)

    def stage(self, text: str) -> None:
        self._bar.update(self._task, description=text)

    def epoch(self) -> None:
        self._bar.advance(self._task)


@contextmanager
def _progress(console: Console, total: int) -> Iterator[Progress]:
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.TaskProgressColumn(),
        rich.progress.TimeElapsedColumn(),
    )
    with rich.progress.Progress(*columns, console=console) as bar:
        yield _Bar(bar, total)


# --- the folder ---


# Says that a folder is a demo's, so that the next demo may replace its results.
_MARKER = ".hub_keras_bridge_demo"


def _make_room(folder: Path, module: Path, *files: Path) -> None:
    """Makes the folder; removes what an earlier demo wrote, and nothing else."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = sorted(path.name for path in folder.iterdir())
        if there and _MARKER not in there:
            raise _cannot_write(folder, f"files of another origin: {choices(there, limit=3)}")
        (folder / _MARKER).touch()
        for file in (*files, *_module_files(module)):
            file.unlink(missing_ok=True)
        for emptied in (module / "variables", module):
            if emptied.is_dir() and not any(emptied.iterdir()):
                emptied.rmdir()
    except HubError:
        raise
    except OSError as error:
        raise _cannot_write(folder, str(error)) from error


def _cannot_write(folder: Path, found: str) -> ExportError:
    return ExportError(
        f"Cannot write the results of the demo to {str(folder)!r}.",
        expected="a folder that is new, empty or an earlier demo's, and that you may write to",
        found=found,
        advice="choose another one with --output FOLDER",
    )


def _module_files(module: Path) -> Iterator[Path]:
    """The files of the demo's module, which has no assets."""
    yield from (module / "tfhub_module.pb", module / "saved_model.pb")
    yield from (module / "variables").glob("variables.*")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1 on, got {number}")
    return number
