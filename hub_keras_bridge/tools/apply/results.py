"""A file of results: there when it is complete, in a format that holds the outputs."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from hub_keras_bridge.errors import TableError
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.files.writing import telling, whole
from hub_keras_bridge.tools.apply.formats import STANDARD
from hub_keras_bridge.tools.apply.preflight import require_free, require_library
from hub_keras_bridge.tools.apply.writers import WRITERS, JsonWriter, Writer


@contextmanager
def open_writer(
    path: str, format: str, outputs: Mapping[str, ParsedTensorInfo], *, overwrite: bool = False
) -> Iterator[Writer]:
    """Writes a file that is there, complete, when the block succeeds.

    Args:
        path: the file to make; ``"-"`` for standard output, which gets JSON lines as they come.
        format: ``"npy"``, ``"npz"``, ``"jsonl"`` or ``"parquet"``.
        outputs: what the signature says of each output.
        overwrite: whether to replace a file that is there.

    Raises:
        TableError: the format does not hold such outputs, there is a file, or
            writing failed; nothing is left then.
    """
    require_holds(format, outputs)
    if path == STANDARD:
        yield JsonWriter(sys.stdout)
        sys.stdout.flush()
        return
    with _new_file(os.path.abspath(path), overwrite) as made:
        writer = WRITERS[format](made)
        try:
            yield writer
        except BaseException:
            writer.abort()
            raise
        writer.close()


@contextmanager
def _new_file(path: str, overwrite: bool) -> Iterator[str]:
    def failed(error: OSError) -> TableError:
        return TableError(
            f"Cannot write {path!r}.",
            expected="to make a file there",
            found=str(error),
            advice="check folder, permissions and free space; nothing was left behind",
        )

    free = functools.partial(require_free, path, overwrite)
    with telling(failed), whole(path, require_free=free) as made:
        yield made


def require_holds(format: str, outputs: Mapping[str, ParsedTensorInfo]) -> None:
    """Checks that a format has a place for such outputs.

    Raises:
        TableError: it has not, or a library is missing.
    """
    require_library(format)
    if format == "npy" and len(outputs) != 1:
        raise TableError(
            "Cannot write several outputs to one .npy file.",
            expected="one output",
            found=", ".join(map(repr, outputs)),
            advice="choose one with output_key=..., or write .npz, .jsonl or .parquet",
        )
    for name, info in outputs.items():
        reason = _refuses(format, info)
        if reason:
            raise TableError(
                f"Cannot write output {name!r} in the format {format}.",
                expected=reason,
                found=str(info),
                advice="choose another format, or other outputs with output_key=...; JSON lines "
                "hold ragged outputs and text, Parquet holds any string",
            )


def _refuses(format: str, info: ParsedTensorInfo) -> str | None:
    if format != "jsonl" and len(info.tensor_names) > 1:
        return "rows of one shape"
    if format in ("npy", "npz") and info.dtype.name == "string":
        return "numbers"
    if format in ("jsonl", "parquet") and info.dtype.is_complex:
        return "real numbers or strings"
    return None
