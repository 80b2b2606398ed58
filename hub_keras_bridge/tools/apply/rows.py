"""Formats with an example per line or record: text, CSV and JSON lines.

Each parser turns lines into rows: the number of the line, for messages, and a
value for each input. Dtypes and shapes are checked later, a batch at a time.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo

Inputs = Mapping[str, ParsedTensorInfo]
Row = tuple[int, dict[str, Any]]


class BrokenRow(Exception):
    """A line that is no example.

    Args:
        number: of the line, from 1.
        found: what is wrong with it.
        expected: what would have been right.
        advice: what to do.
    """

    def __init__(
        self, number: int, found: str, expected: str, advice: str = "fix or remove the line"
    ) -> None:
        super().__init__(number, found)
        self.number = number
        self.found = found
        self.expected = expected
        self.advice = advice


def text_rows(lines: Iterable[bytes], inputs: Inputs) -> Iterator[Row]:
    """Each line, an empty one too, is a value of the only input, a string.

    >>> import tensorflow as tf
    >>> strings = ParsedTensorInfo(tf.TensorSpec([None], tf.string), ("x:0",))
    >>> list(text_rows([b"a cat\\r\\n", b"sat"], {"text": strings}))
    [(1, {'text': b'a cat'}), (2, {'text': b'sat'})]
    """
    if [(info.dtype.name, info.get_shape().rank) for info in inputs.values()] != [("string", 1)]:
        raise BrokenRow(
            1,
            "a line of text",
            expected=_show(inputs),
            advice="lines of text go to a signature with one string input; use CSV, JSON lines, "
            ".npy or .npz",
        )
    (name,) = inputs
    for number, line in enumerate(lines, start=1):
        yield number, {name: line.removesuffix(b"\n").removesuffix(b"\r")}


def json_rows(lines: Iterable[bytes], inputs: Inputs) -> Iterator[Row]:
    """Each line is an object with the inputs by name, or the only input's value.

    Other keys and empty lines are passed over.

    >>> import tensorflow as tf
    >>> pairs = ParsedTensorInfo(tf.TensorSpec([None, 2], tf.float32), ("x:0",))
    >>> list(json_rows([b'{"x": [1, 2], "id": 7}', b"", b"[3, 4]"], {"x": pairs}))
    [(1, {'x': [1, 2]}), (3, {'x': [3, 4]})]
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BrokenRow(number, str(error), "a JSON value") from error
        if not isinstance(value, dict) and len(inputs) == 1:
            value = dict.fromkeys(inputs, value)
        if not isinstance(value, dict) or not inputs.keys() <= value.keys():
            has = f"the keys {choices(value)}" if isinstance(value, dict) else type(value).__name__
            raise BrokenRow(number, has, f"an object with the keys {choices(inputs)}")
        yield number, {name: value[name] for name in inputs}


def csv_rows(lines: Iterable[bytes], inputs: Inputs) -> Iterator[Row]:
    """The first record names the columns: an input each, or ``x[0]``, ``x[1]``...

    Other columns are passed over.

    >>> import tensorflow as tf
    >>> pairs = ParsedTensorInfo(tf.TensorSpec([None, 2], tf.float32), ("x:0",))
    >>> list(csv_rows([b"id,x[0],x[1]", b"7,1.5,2"], {"x": pairs}))
    [(2, {'x': [1.5, 2.0]})]
    """
    records = csv.reader((line.decode() for line in lines), strict=True)
    try:
        header = next(records, [])
        places = {name: _places(name, info, header) for name, info in inputs.items()}
        for record in records:
            number = records.line_num
            if not record:
                continue
            if len(record) != len(header):
                fields = f"{len(header)} fields, as in the header"
                raise BrokenRow(number, f"{len(record)} fields", fields)
            row = {}
            for name, info in inputs.items():
                cells = [_cell(record[place], name, info, number) for place in places[name]]
                row[name] = cells[0] if info.get_shape().rank == 1 else cells
            yield number, row
    except (csv.Error, UnicodeDecodeError) as error:
        # Decoding fails on the line after the last that the reader took.
        number = records.line_num + isinstance(error, UnicodeDecodeError)
        raise BrokenRow(number, str(error), "comma-separated values in UTF-8") from error


def _places(name: str, info: ParsedTensorInfo, header: list[str]) -> list[int]:
    """Where in a record an input's numbers stand."""
    rank = info.get_shape().rank
    if rank not in (1, 2):
        raise BrokenRow(
            1,
            f"input {name!r}: {info}",
            "inputs with one value, or one row of values, per example",
            advice="use JSON lines, .npy or .npz",
        )
    if rank == 1:
        found = [place for place, title in enumerate(header) if title == name]
        wanted, sound = f"one column {name!r}", len(found) == 1
    else:
        of_input = re.compile(re.escape(name) + r"\[(\d{1,18})\]")
        matches = [(place, of_input.fullmatch(title)) for place, title in enumerate(header)]
        by_number = sorted((int(match[1]), place) for place, match in matches if match)
        found = [place for _, place in by_number]
        size = info.get_shape()[1]
        last = "..." if size is None else repr(f"{name}[{size - 1}]")
        wanted = f"columns from {name + '[0]'!r} to {last}"
        sound = [n for n, _ in by_number] == list(range(len(found) if size is None else size))
    if not found or not sound:
        advice = "name the columns in the first line" + ("; or use JSON lines" if rank == 2 else "")
        raise BrokenRow(1, f"the columns {choices(header)}", wanted, advice)
    return found


_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def _cell(text: str, name: str, info: ParsedTensorInfo, number: int) -> Any:
    parse: Callable[[str], Any]
    if info.dtype.name == "string":
        parse = str
    elif info.dtype.name == "bool":
        parse = lambda word: _BOOLEANS[word.strip().lower()]  # noqa: E731
    else:
        parse = int if info.dtype.is_integer else float
    try:
        return parse(text)
    except (ValueError, KeyError) as error:
        raise BrokenRow(number, repr(text[:60]), f"{info.dtype.name} for {name!r}") from error


def _show(inputs: Inputs) -> str:
    return ", ".join(f"{name!r}: {info}" for name, info in inputs.items())


PARSERS: dict[str, Callable[[Iterable[bytes], Inputs], Iterator[Row]]] = {
    "text": text_rows,
    "csv": csv_rows,
    "jsonl": json_rows,
}
