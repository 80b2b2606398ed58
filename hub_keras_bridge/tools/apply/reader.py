"""From a file of examples to batches of a signature's inputs."""

from __future__ import annotations

import codecs
import contextlib
import gzip
import itertools
import sys
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any, cast

from hub_keras_bridge.errors import InputError, Subject, TableError
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.tools.apply.arrays import BLOCKS, Blocks, BrokenArray
from hub_keras_bridge.tools.apply.columns import to_column
from hub_keras_bridge.tools.apply.formats import STANDARD
from hub_keras_bridge.tools.apply.rows import PARSERS, BrokenRow, Inputs, Row

_MEND = "mend the values, or remove the line"


@dataclass(frozen=True)
class Batch:
    """Some examples that follow one another.

    Attributes:
        columns: input name -> tensor (dense, ragged or sparse), examples first.
        rows: how many examples.
        bytes_read: how many more bytes of the file were read for it, as it lies on
            disk; none of standard input.
    """

    columns: Mapping[str, Any]
    rows: int
    bytes_read: int = 0


def read_batches(
    path: str,
    format: str,
    inputs: Inputs,
    size: int,
    *,
    limit: int | None = None,
    subject: Subject | None = None,
) -> Generator[Batch, None, None]:
    """Reads a file batch by batch; holds one batch at a time.

    Args:
        path: the file, unpacked if its name ends in ``.gz``; ``"-"`` for
            standard input.
        format: ``"text"``, ``"csv"``, ``"jsonl"``, ``"npy"`` or ``"npz"``.
        inputs: what the signature says of each input; the first dimension is
            that of the examples.
        size: examples per batch; the last batch may have fewer.
        limit: how many examples to read at most.
        subject: module, tags and signature, for messages.

    Raises:
        TableError: the file cannot be read, or a line or array does not fit
            the inputs; the message has the number of the line.
    """
    file = _File(path, inputs, subject or Subject())
    try:
        with _opened(path) as (raw, stream):
            told = 0
            for batch in file.batches(stream, format, size, limit):
                position = told if raw is None or raw.closed else raw.tell()
                yield replace(batch, bytes_read=position - told)
                told = position
    except BrokenRow as error:
        raise file.refused(
            f"line {error.number}", error.expected, error.found, error.advice
        ) from error
    except BrokenArray as error:
        expected = "arrays whose rows are the examples: " + ", ".join(
            f"{name!r}: {info}" for name, info in inputs.items()
        )
        advice = "save the array again with numpy.save or numpy.savez, an array per input"
        raise file.refused("its arrays", expected, str(error), advice) from error
    except (EOFError, zlib.error, OSError) as error:
        if isinstance(error, TableError):
            raise
        raise TableError(
            f"Cannot read {path!r}.",
            subject,
            expected="a file, or one packed by gzip with a name in .gz",
            found=str(error),
            advice="check the path; make the file again if it is damaged",
        ) from error


@contextlib.contextmanager
def _opened(path: str) -> Iterator[tuple[IO[bytes] | None, IO[bytes]]]:
    """The file as it lies on disk, to tell how far it is read, and unpacked."""
    if path == STANDARD:
        yield None, sys.stdin.buffer
        return
    with open(path, "rb") as raw:
        if not path.lower().endswith(".gz"):
            yield raw, raw
            return
        with gzip.GzipFile(fileobj=raw) as unpacked:
            yield raw, cast(IO[bytes], unpacked)


class _File:
    """Makes batches of what is in a file, and messages of what is not."""

    def __init__(self, path: str, inputs: Inputs, subject: Subject) -> None:
        self.path = path
        self.inputs = inputs
        self.subject = subject

    def batches(
        self, stream: IO[bytes], format: str, size: int, limit: int | None
    ) -> Iterator[Batch]:
        if format in PARSERS:
            rows = itertools.islice(PARSERS[format](_lines(stream), self.inputs), limit)
            return self._batches_of_rows(rows, size)
        return self._batches_of_blocks(BLOCKS[format](stream, self.inputs, size, limit))

    def _batches_of_rows(self, rows: Iterator[Row], size: int) -> Iterator[Batch]:
        while chunk := list(itertools.islice(rows, size)):
            numbers = [number for number, _ in chunk]
            columns = {
                name: self._column([row[name] for _, row in chunk], numbers, name, info)
                for name, info in self.inputs.items()
            }
            yield Batch(columns, len(chunk))

    def _batches_of_blocks(self, blocks: Blocks) -> Iterator[Batch]:
        for block in blocks:
            columns = {
                name: self._column(block[name], None, name, info)
                for name, info in self.inputs.items()
            }
            yield Batch(columns, min(map(len, block.values())))

    def _column(
        self, values: Any, numbers: Sequence[int] | None, name: str, info: ParsedTensorInfo
    ) -> Any:
        """One input's values as a tensor; an error names the guilty line."""
        try:
            return to_column(values, name, info, self.subject)
        except InputError as error:
            if numbers is None:
                raise self._unfit("the array", name, error, error.advice or "") from error
            for number, value in zip(numbers, values, strict=True):
                try:
                    to_column([value], name, info, self.subject)
                except InputError as guilty:
                    raise self._unfit(f"line {number}", name, guilty, _MEND) from guilty
            # Each fits alone, so they differ in a dimension that is free.
            raise self.refused(
                f"lines {numbers[0]} to {numbers[-1]}",
                f"{info} for input {name!r}, of one shape in all lines of a batch",
                error.found or "",
                "pad the rows to one length, or use batches of 1",
            ) from error

    def _unfit(self, where: str, name: str, error: InputError, advice: str) -> TableError:
        expected = f"rows of {error.expected} for input {name!r}"
        return self.refused(where, expected, error.found or "", advice)

    def refused(self, where: str, expected: str, found: str, advice: str) -> TableError:
        return TableError(
            f"Cannot use {self.path!r} as inputs of a TF1 Hub module: {where}.",
            self.subject,
            expected=expected,
            found=found,
            advice=advice,
        )


def _lines(stream: Iterable[bytes]) -> Iterator[bytes]:
    for number, line in enumerate(stream):
        yield line.removeprefix(codecs.BOM_UTF8) if number == 0 else line
