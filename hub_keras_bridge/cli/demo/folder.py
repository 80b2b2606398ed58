"""The folder of a demo's results, which the next demo replaces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hub_keras_bridge.errors import ExportError, HubError
from hub_keras_bridge.errors.words import choices

# Says that a folder is a demo's, so that the next demo may replace its results.
MARKER = ".hub_keras_bridge_demo"


def make_room(folder: Path, module: Path, *files: Path) -> None:
    """Makes the folder; removes what an earlier demo wrote, and nothing else."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = sorted(path.name for path in folder.iterdir())
        if there and MARKER not in there:
            raise _cannot_write(folder, f"files of another origin: {choices(there, limit=3)}")
        (folder / MARKER).touch()
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
