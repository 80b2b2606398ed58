"""Which formats there are, and which one a file's name stands for."""

from __future__ import annotations

from collections.abc import Mapping

from hub_keras_bridge.errors import TableError

# Standard input where a file is read, standard output where one is written.
STANDARD = "-"

# End of the file's name -> format.
INPUT_FORMATS = {
    ".txt": "text",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".npy": "npy",
    ".npz": "npz",
}
OUTPUT_FORMATS = {
    ".npy": "npy",
    ".npz": "npz",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}


def input_format(path: str) -> str:
    """The format of a file to read; one in ``.gz`` is unpacked.

    Raises:
        TableError: the name does not tell.

    >>> input_format("lines.txt"), input_format("rows.CSV.gz"), input_format("-")
    ('text', 'csv', 'text')
    """
    if path == STANDARD:
        return "text"
    return _by_end(path, path.lower().removesuffix(".gz"), INPUT_FORMATS, "read", "input_format")


def output_format(path: str) -> str:
    """The format of a file to write.

    Raises:
        TableError: the name does not tell.

    >>> output_format("vectors.parquet"), output_format("-")
    ('parquet', 'jsonl')
    """
    if path == STANDARD:
        return "jsonl"
    return _by_end(path, path.lower(), OUTPUT_FORMATS, "write", "output_format")


def show_ends(formats: Mapping[str, str]) -> str:
    """Lists the ends of names.

    >>> show_ends({".npy": "npy", ".npz": "npz", ".jsonl": "jsonl"})
    '.npy, .npz or .jsonl'
    """
    *first, last = formats
    return f"{', '.join(first)} or {last}"


def _by_end(path: str, name: str, formats: Mapping[str, str], doing: str, argument: str) -> str:
    for end, format in formats.items():
        if name.endswith(end):
            return format
    known = ", ".join(dict.fromkeys(formats.values()))
    raise TableError(
        f"Cannot {doing} {path!r}: its name does not tell its format.",
        expected=f"a name in {show_ends(formats)}",
        found=repr(path),
        advice=f"rename it, or pass {argument}=... with one of {known}",
    )
