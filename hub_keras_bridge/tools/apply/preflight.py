"""What can be told of two files before a module is loaded, which may take long."""

from __future__ import annotations

import importlib.util
import os

from hub_keras_bridge.errors import TableError
from hub_keras_bridge.files.targets import folder_fault
from hub_keras_bridge.tools.apply.formats import STANDARD, input_format, output_format


def formats_of(
    source: str,
    target: str,
    *,
    reads: str | None = None,
    writes: str | None = None,
    overwrite: bool = False,
) -> tuple[str, str]:
    """The formats of a file to read and of one to write, if both can be. No TensorFlow.

    Args:
        source: the file of examples, or ``"-"`` for standard input.
        target: the file to make, or ``"-"`` for standard output.
        reads: the format of the source; by its name if None.
        writes: likewise of the target.
        overwrite: whether the target may exist.

    Raises:
        TableError: a name does not tell its format, there is nothing to read,
            the target is there already, has no folder or is standard output in a
            format that is no stream, or a library is missing.

    >>> formats_of("-", "/tmp/no_such_vectors.npz", reads="jsonl")
    ('jsonl', 'npz')
    """
    reads = reads or input_format(source)
    writes = writes or output_format(target)
    require_readable(source)
    if target == STANDARD:
        _require_stream(writes)
    else:
        require_free(target, overwrite)
        _require_folder(target)
    require_library(writes)
    return reads, writes


def require_readable(path: str) -> None:
    """Checks that there is something to read.

    Raises:
        TableError: nothing is there, or a folder.
    """
    if path == STANDARD or (os.path.exists(path) and not os.path.isdir(path)):
        return
    full = os.path.abspath(path)
    raise TableError(
        f"Cannot read {path!r}.",
        expected="a file",
        found=f"the folder {full}" if os.path.isdir(path) else f"nothing at {full}",
        advice="check the path",
    )


def require_free(path: str, overwrite: bool) -> None:
    """Checks that a file may be written.

    Raises:
        TableError: there is one already, or a folder.
    """
    if os.path.isdir(path) or (os.path.exists(path) and not overwrite):
        raise TableError(
            f"Cannot write {path!r}: it exists.",
            expected="no file there",
            found=f"{'a folder' if os.path.isdir(path) else 'a file'} at {os.path.abspath(path)}",
            advice="choose another path"
            if os.path.isdir(path)
            else "choose another path, or pass overwrite=True to replace the file",
        )


def _require_folder(path: str) -> None:
    if fault := folder_fault(path):
        raise TableError(
            f"Cannot write {path!r}.",
            expected="a folder for it that is there and can be written to",
            found=fault,
            advice="make the folder first, or choose another path",
        )


def _require_stream(format: str) -> None:
    if format != "jsonl":
        raise TableError(
            f"Cannot write {format} to standard output.",
            expected="jsonl, of which each line stands alone",
            found=f"{format}, which is whole only at its end",
            advice="leave out output_format=..., or name a file",
        )


def require_library(format: str) -> None:
    """Checks that what writes a format is installed.

    Raises:
        TableError: it is not.
    """
    if format == "parquet" and importlib.util.find_spec("pyarrow") is None:
        raise TableError(
            "Cannot write Parquet: pyarrow is not installed.",
            expected="the package pyarrow",
            found="no such package",
            advice="python -m pip install 'hub_keras_bridge[parquet]', or write another format",
        )
