"""Runs the demo's experiment and shows what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from hub_keras_bridge.cli.demo.experiment import (
    Settings,
    compare,
    difference_after_reload,
    publish,
)
from hub_keras_bridge.cli.demo.folder import make_room
from hub_keras_bridge.cli.demo.report import accuracy_table, final, plot_curves, verdict
from hub_keras_bridge.errors.words import show_tags
from hub_keras_bridge.facts.reading import load_module_spec
from hub_keras_bridge.files.progress import Progress, Stages, staged_bar
from hub_keras_bridge.files.writing import whole


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
    make_room(folder, module, plot, saved)
    with _progress(console, settings.total_epochs) as stage:
        publish(module, settings, stage)
        comparison = compare(module, settings, stage)

    frozen, tuned = final(comparison.frozen), final(comparison.tuned)
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


def _contents(module: Path) -> str:
    spec = load_module_spec(module)
    variants = " and ".join(show_tags(tags) for tags in spec.get_tags())
    signatures = " and ".join(repr(name) for name in spec.get_signature_names())
    return f"variants {variants}, signatures {signatures}"


@contextmanager
def _progress(console: Console, total: int) -> Iterator[Stages]:
    """One live bar for the whole experiment; for files and pipes, a line per stage."""
    if console.is_terminal:
        with staged_bar(total, console, stays=True) as stage:
            yield stage
        return

    def line(text: str) -> Progress:
        console.print(text)
        return lambda _: None

    yield line
