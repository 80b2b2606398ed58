"""Writes results batch by batch into one file: .npy, .npz, JSON lines or Parquet."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TextIO

import numpy as np

from hub_keras_bridge.errors import TableError

# Output name -> array, results first; a list where they are ragged.
Columns = Mapping[str, Any]

# Rows of Parquet are collected up to this size; each part has its own index.
_ROW_GROUP_BYTES = 16 * 2**20


class Writer(Protocol):
    """Takes results in batches."""

    def write(self, columns: Columns) -> None:
        """Appends some rows."""

    def close(self) -> None:
        """Completes the file."""

    def abort(self) -> None:
        """Closes what is open; the file will not be used."""


class _NpyWriter:
    """One output to one .npy file, whose header gets its last word at the end."""

    def __init__(self, path: str) -> None:
        self._stream = open(path, "wb")  # noqa: SIM115
        self._like: np.ndarray | None = None
        self._count = 0

    def write(self, columns: Columns) -> None:
        ((name, rows),) = columns.items()
        if self._like is None:
            self._like = rows[:0]
            self._write_header()
        _require_same_shape(name, self._like, rows)
        self._stream.write(np.ascontiguousarray(rows).data)
        self._count += len(rows)

    def close(self) -> None:
        # NumPy pads its header, so that the number of rows can grow.
        self._stream.seek(0)
        self._write_header()
        self._stream.close()

    def abort(self) -> None:
        self._stream.close()

    def _write_header(self) -> None:
        assert self._like is not None, "no file is written without a row"
        header = np.lib.format.header_data_from_array_1_0(self._like)
        header["shape"] = (self._count, *self._like.shape[1:])
        np.lib.format.write_array_header_1_0(self._stream, header)


class _NpzWriter:
    """Each output to a .npy file beside the target; in the end, all into one."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._members: dict[str, _NpyWriter] = {}

    def write(self, columns: Columns) -> None:
        for name, rows in columns.items():
            if name not in self._members:
                self._members[name] = _NpyWriter(self._file(len(self._members)))
            self._members[name].write({name: rows})

    def close(self) -> None:
        with zipfile.ZipFile(self._path, "w") as archive:
            for number, (name, member) in enumerate(self._members.items()):
                member.close()
                archive.write(self._file(number), f"{name}.npy")
                os.remove(self._file(number))

    def abort(self) -> None:
        for member in self._members.values():
            member.abort()

    def _file(self, number: int) -> str:
        return f"{self._path}.{number}"


class JsonWriter:
    """An object per row. NaN and infinity are written as Python's json does."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._count = 0

    def write(self, columns: Columns) -> None:
        """Appends some rows."""
        rows = zip(*(_plain(column) for column in columns.values()), strict=True)
        for row in rows:
            self._count += 1
            try:
                text = json.dumps(dict(zip(columns, row, strict=True)), default=bytes.decode)
            except UnicodeDecodeError as error:
                raise TableError(
                    f"Cannot write row {self._count} as JSON.",
                    expected="strings in UTF-8",
                    found=str(error),
                    advice="write .parquet, which holds any string",
                ) from error
            self._stream.write(text + "\n")

    def close(self) -> None:
        """Completes the file."""
        self._stream.close()

    abort = close


class _ParquetWriter:
    """A column per output: numbers, strings (binary) or lists of one size."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._writer: Any = None
        self._waiting: list[Any] = []
        self._waiting_bytes = 0
        self._like: dict[str, np.ndarray] = {}

    def write(self, columns: Columns) -> None:
        import pyarrow
        import pyarrow.parquet

        for name, rows in columns.items():
            _require_same_shape(name, self._like.setdefault(name, rows[:0]), rows)
        batch = pyarrow.RecordBatch.from_pydict(
            {name: _arrow_array(rows) for name, rows in columns.items()}
        )
        if self._writer is None:
            self._writer = pyarrow.parquet.ParquetWriter(self._path, batch.schema)
        self._waiting.append(batch)
        self._waiting_bytes += batch.nbytes
        if self._waiting_bytes >= _ROW_GROUP_BYTES:
            self._write_waiting()

    def close(self) -> None:
        self._write_waiting()
        self._writer.close()

    def abort(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _write_waiting(self) -> None:
        import pyarrow

        if self._waiting:
            self._writer.write_table(pyarrow.Table.from_batches(self._waiting))
            self._waiting, self._waiting_bytes = [], 0


WRITERS: dict[str, Callable[[str], Writer]] = {
    "npy": _NpyWriter,
    "npz": _NpzWriter,
    "jsonl": lambda path: JsonWriter(open(path, "w", encoding="utf-8")),  # noqa: SIM115
    "parquet": _ParquetWriter,
}


def _plain(column: Any) -> list[Any]:
    return column.tolist() if isinstance(column, np.ndarray) else column


def _arrow_array(rows: np.ndarray) -> Any:
    """Rows as an Arrow array, each dimension but the first a list of its size."""
    import pyarrow

    kind = pyarrow.binary() if rows.dtype == object else None
    array = pyarrow.array(rows.reshape(-1), kind)
    for size in reversed(rows.shape[1:]):
        array = pyarrow.FixedSizeListArray.from_arrays(array, size)
    return array


def _require_same_shape(name: str, like: np.ndarray, rows: np.ndarray) -> None:
    if rows.shape[1:] != like.shape[1:]:
        raise TableError(
            f"Cannot write output {name!r}: its rows have different shapes.",
            expected=f"rows of shape {list(like.shape[1:])}, as in the first batch",
            found=f"shape {list(rows.shape[1:])}",
            advice="write JSON lines (.jsonl), or pad the inputs to one length",
        )
