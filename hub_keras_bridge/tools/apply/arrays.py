"""Reads NumPy's .npy and .npz files in blocks of rows."""

from __future__ import annotations

import contextlib
import zipfile
import zlib
from collections.abc import Collection, Iterator
from typing import IO

import numpy as np

Blocks = Iterator[dict[str, np.ndarray]]


class BrokenArray(Exception):
    """An array that cannot be read in blocks of rows."""


def npy_blocks(
    stream: IO[bytes], names: Collection[str], size: int, limit: int | None = None
) -> Blocks:
    """Blocks of at most ``size`` rows of the array in a .npy file.

    Args:
        stream: the file; it need not be seekable.
        names: of the only input.
        size: number of rows.
        limit: how many rows to read at most.

    Raises:
        BrokenArray: there are several inputs, or the file is not sound.
    """
    if len(names) != 1:
        raise BrokenArray(f"one array, for {len(names)} inputs; use .npz for several")
    (name,) = names
    array = _Rows(stream)
    for count in _block_sizes(array.count, size, limit):
        yield {name: array.take(count)}


def npz_blocks(
    stream: IO[bytes], names: Collection[str], size: int, limit: int | None = None
) -> Blocks:
    """Blocks of at most ``size`` rows of the arrays in a .npz file.

    Args:
        stream: the file.
        names: of the inputs; other arrays are passed over.
        size: number of rows.
        limit: how many rows to read at most.

    Raises:
        BrokenArray: an input is missing, rows differ in number, or the file is
            not sound.
    """
    try:
        with contextlib.ExitStack() as stack:
            archive = stack.enter_context(zipfile.ZipFile(stream))
            there = [member.removesuffix(".npy") for member in archive.namelist()]
            if missing := sorted(set(names) - set(there)):
                raise BrokenArray(f"the arrays {sorted(there)}, without {missing}")
            arrays = {
                name: _Rows(stack.enter_context(archive.open(f"{name}.npy"))) for name in names
            }
            counts = {name: array.count for name, array in arrays.items()}
            if len(set(counts.values())) > 1:
                raise BrokenArray(f"arrays with different numbers of rows: {counts}")
            for count in _block_sizes(min(counts.values()), size, limit):
                yield {name: array.take(count) for name, array in arrays.items()}
    except (zipfile.BadZipFile, zlib.error) as error:
        raise BrokenArray(str(error)) from error


BLOCKS = {"npy": npy_blocks, "npz": npz_blocks}


def _block_sizes(count: int, size: int, limit: int | None) -> Iterator[int]:
    """
    >>> list(_block_sizes(10, 4, None)), list(_block_sizes(10, 4, 7))
    ([4, 4, 2], [4, 3])
    """
    end = count if limit is None else min(count, limit)
    return (min(size, end - start) for start in range(0, end, size))


class _Rows:
    """An array whose rows are read one after the other."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        shape, by_column, self._dtype = _header(stream)
        if self._dtype.hasobject:
            raise BrokenArray("an array of Python objects; save strings with dtype 'S' or 'U'")
        if not shape:
            raise BrokenArray("a single value; the first dimension is that of the examples")
        if by_column and len(shape) > 1:
            raise BrokenArray("an array in Fortran order; save numpy.ascontiguousarray(array)")
        self.count, *self._row_shape = shape

    def take(self, count: int) -> np.ndarray:
        """The next rows, in this machine's byte order."""
        shape = [count, *self._row_shape]
        wanted = int(np.prod(shape)) * self._dtype.itemsize
        data = self._stream.read(wanted)
        if len(data) < wanted:
            raise BrokenArray("a file that is cut short")
        rows = np.frombuffer(data, self._dtype).reshape(shape)
        return rows.astype(self._dtype.newbyteorder("="), copy=False)


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    try:
        version = np.lib.format.read_magic(stream)
        if version not in readers:
            raise BrokenArray(f"an array of records (version {version} of NumPy's format)")
        return readers[version](stream)
    except ValueError as error:
        raise BrokenArray(str(error)) from error
