"""A file with one token and its vector per line, as GloVe and word2vec write it.

It is read line by line, twice: once to check every line and collect the
tokens, once for the vectors.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hub_keras_bridge.errors import PublishError, Subject
from hub_keras_bridge.errors.words import listed
from hub_keras_bridge.files.progress import Progress
from hub_keras_bridge.publishing.embedding_line import BrokenLineError, header, parse

# How many broken lines an error names.
_SHOWN = 10
_LINES_PER_NOTICE = 1000


@dataclass(frozen=True)
class Vocabulary:
    """What a sound file of embeddings has in it.

    Attributes:
        tokens: how many tokens there are, each with a vector of its own.
        dim: how many numbers a vector has.
        digest: of the tokens in their order.
    """

    tokens: int
    dim: int
    digest: str


class EmbeddingFile:
    """Reads a file of embeddings.

    Args:
        path: the file; with a name in ``.gz`` it is unpacked.
        progress: told how many more bytes were read, in either reading.
    """

    def __init__(self, path: str, progress: Progress | None = None) -> None:
        self.subject = Subject(path)
        self._path = path
        self._progress = progress or (lambda _: None)

    def check(self, target: str) -> Vocabulary:
        """Checks all lines and writes the tokens, one per line.

        Args:
            target: path of the vocabulary file to write.

        Raises:
            PublishError: the file cannot be read, has broken lines or none, or
                not what its header says.
        """
        declared: tuple[int, int] | None = None
        dim: int | None = None
        tokens: set[bytes] = set()
        broken: list[str] = []
        digest = hashlib.sha256()
        with open(target, "wb") as stream:
            for number, line in self._lines():
                if number == 1 and (declared := header(line)):
                    dim = declared[1]
                    continue
                try:
                    token, vector = parse(line, dim)
                    if token in tokens:
                        raise BrokenLineError(token, "stands in an earlier line, too")
                except BrokenLineError as error:
                    broken.append(f"line {number}, {error}")
                    continue
                dim = len(vector)
                tokens.add(token)
                stream.write(token + b"\n")
                digest.update(token + b"\n")
        if broken:
            told_by = "the header" if declared else "the first sound line"
            numbers = f"{dim} numbers as {told_by} has it" if dim else "its numbers"
            raise self._refused(
                "it has broken lines",
                expected=f"in each line a token of its own, then {numbers}, each behind one space",
                found=listed(broken, _SHOWN, "; "),
                advice="fix or remove these lines; a token with a space in it would never be "
                "found, since sentences are split on spaces",
            )
        if declared and declared[0] != len(tokens):
            raise self._refused(
                "its length is not what its first line says",
                expected=f"{declared[0]} tokens",
                found=str(len(tokens)),
                advice="fetch the file again if it is cut short; a first line of two integers is "
                "taken for a header with the number of tokens and that of their numbers",
            )
        if dim is None:
            raise self._refused(
                "it is empty",
                expected="a token and its numbers in each line",
                found="no lines",
                advice="fetch the file again",
            )
        return Vocabulary(len(tokens), dim, digest.hexdigest())

    def vectors(self, vocabulary: Vocabulary) -> Iterator[np.ndarray]:
        """The vectors of a file that was checked, in float32.

        Raises:
            PublishError: the file is not as it was.
        """
        count = 0
        digest = hashlib.sha256()
        for number, line in self._lines():
            if number == 1 and header(line):
                continue
            try:
                token, vector = parse(line, vocabulary.dim)
            except BrokenLineError as error:
                raise self._changed(f"line {number}, {error}") from error
            count += 1
            if count > vocabulary.tokens:
                raise self._changed("more lines")
            digest.update(token + b"\n")
            yield vector
        if digest.hexdigest() != vocabulary.digest:
            raise self._changed("fewer lines" if count < vocabulary.tokens else "other tokens")

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """The lines, numbered from 1, without their ends.

        Spaces at the end go too: word2vec writes one behind the last number.
        """
        told = 0
        try:
            with open(self._path, "rb") as raw:
                unpacked = gzip.GzipFile(fileobj=raw) if self._path.endswith(".gz") else raw
                for number, line in enumerate(unpacked, start=1):
                    if number == 1:
                        line = line.removeprefix(codecs.BOM_UTF8)
                    if number % _LINES_PER_NOTICE == 0:
                        self._progress(raw.tell() - told)
                        told = raw.tell()
                    yield number, line.rstrip(b" \r\n")
                self._progress(raw.tell() - told)
        except (OSError, EOFError, zlib.error) as error:
            raise self._refused(
                "its file cannot be read",
                expected="a text file, or a gzip file with a name in .gz",
                found=str(error),
                advice="check the path; fetch the file again if it is damaged",
            ) from error

    def _changed(self, found: str) -> PublishError:
        return self._refused(
            "its file changed between two readings",
            expected="the same lines again",
            found=found,
            advice="pass a regular file that nothing writes to",
        )

    def _refused(self, problem: str, *, expected: str, found: str, advice: str) -> PublishError:
        return PublishError(
            f"Cannot publish a text embedding: {problem}.",
            self.subject,
            expected=expected,
            found=found,
            advice=advice,
        )
