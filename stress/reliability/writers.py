"""What writes to disk, in numbered versions, and what a reader finds there.

A writer's ``out`` is where faults strike. What it needs besides, such as the
module that it writes again, is made once by :func:`prepare`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

import hub_keras_bridge as hub
from benchmarks.vocabulary import line_numbers
from hub_keras_bridge.files import archive
from hub_keras_bridge.files.fetch import cache, cache_entries, integrity
from stress.reliability import hosting

v1 = tf.compat.v1

_SIZE = 100_000  # Floats of the only weight: 400 KB.
_WORDS = 10_000
_ARCHIVES = 3


class Writer(Protocol):
    """Something that writes."""

    def write(self, number: int) -> None:
        """Writes a version; when this returns, it is there."""

    def found(self) -> list[int]:
        """The versions that are there, oldest first.

        Raises:
            Mixture: something is there that is no version, or not the whole of one.
        """


class Mixture(Exception):
    """A reader finds neither an old state nor a new one."""


# --- what is written ---


def prepare(source: str) -> None:
    """Publishes a module below a folder, and packs it with other weights, too."""
    vocabulary = Path(source, "words.txt")
    vocabulary.write_text("".join(f"word {number}\n" for number in range(_WORDS)))
    layer = hub.ModuleLayer(hub.create_module_spec(lambda: _module_fn(str(vocabulary))))
    layer.export_module(Path(source, "module"))
    for number in range(_ARCHIVES):
        layer.variable_map["scale"].assign(np.full(_SIZE, number, np.float32))
        layer.export_module(Path(source, f"module_{number}"))
        archive.pack(f"{source}/module_{number}", f"{source}/module_{number}.tar.gz")


def _module_fn(vocabulary: str) -> None:
    words = v1.placeholder(tf.string, [None])
    scale = v1.get_variable("scale", initializer=tf.zeros([_SIZE]))
    table = tf.lookup.StaticVocabularyTable(
        line_numbers(vocabulary),
        num_oov_buckets=1,
    )
    hub.add_signature(inputs=words, outputs=tf.gather(scale, table.lookup(words)))


def weight(path: str | Path) -> int:
    """The number that a written module's weight is full of, when all of it is right."""
    if fault := integrity.fault(str(path)):
        raise Mixture(f"{path}: {fault}")
    values = tf.train.load_checkpoint(f"{path}/variables/variables").get_tensor("scale")
    words = (Path(path) / "assets" / "words.txt").read_bytes()
    if len(set(values)) != 1 or words.count(b"\n") != _WORDS:
        raise Mixture(f"{path}: values {sorted(set(values))}, {len(words)} bytes of words")
    hub.load_module_spec(str(path)).get_output_info_dict()
    return int(values[0])


def _numbered(out: str, suffix: str = "") -> list[tuple[int, Path]]:
    """What visibly is in a folder, by number."""
    paths = [path for path in Path(out).iterdir() if not path.name.startswith(".")]
    return sorted((int(path.name.removesuffix(suffix)), path) for path in paths)


# --- who writes ---


class _Exporting:
    """``ModuleLayer.export_module`` to a new path each time."""

    def __init__(self, source: str, out: str) -> None:
        self._out = out
        self._layer = hub.ModuleLayer(f"{source}/module", name="scaler")
        self._layer.build()

    def write(self, number: int) -> None:
        self._layer.variable_map["scale"].assign(np.full(_SIZE, number, np.float32))
        self._layer.export_module(f"{self._out}/{number}")

    def found(self) -> list[int]:
        versions = _numbered(self._out)
        if any(weight(path) != number for number, path in versions):
            raise Mixture(f"{self._out}: a version with another one's weights")
        return [number for number, _ in versions]


class _ExportingSpec:
    """``ModuleSpec.export``, values from a checkpoint."""

    def __init__(self, source: str, out: str) -> None:
        self._out = out
        self._checkpoint = f"{source}/module_1/variables/variables"
        self._spec = hub.load_module_spec(f"{source}/module")

    def write(self, number: int) -> None:
        self._spec.export(f"{self._out}/{number}", self._checkpoint)

    def found(self) -> list[int]:
        versions = _numbered(self._out)
        if any(weight(path) != 1 for _, path in versions):
            raise Mixture(f"{self._out}: other weights than the checkpoint's")
        return [number for number, _ in versions]


class _Packing:
    """``archive.pack``, whose bytes are the same each time."""

    def __init__(self, source: str, out: str) -> None:
        self._module, self._out = f"{source}/module_1", out
        self._expected = Path(source, "module_1.tar.gz").read_bytes()

    def write(self, number: int) -> None:
        archive.pack(self._module, f"{self._out}/{number}.tar.gz")

    def found(self) -> list[int]:
        versions = _numbered(self._out, ".tar.gz")
        if any(path.read_bytes() != self._expected for _, path in versions):
            raise Mixture(f"{self._out}: an archive of other bytes")
        return [number for number, _ in versions]


class _ExportingLatest(_Exporting):
    """``LatestModuleExporter``, which removes old exports, too."""

    def __init__(self, source: str, out: str) -> None:
        super().__init__(source, out)
        self._exporter = hub.LatestModuleExporter(out, exports_to_keep=2)
        self._exporter.set_model(keras.Sequential([self._layer]))

    def write(self, number: int) -> None:
        self._layer.variable_map["scale"].assign(np.full(_SIZE, number, np.float32))
        self._exporter.export()

    def found(self) -> list[int]:
        folder = f"{self._out}/scaler"
        versions = [weight(path) for _, path in _numbered(folder)] if os.path.isdir(folder) else []
        if versions != sorted(versions):
            raise Mixture(f"{folder}: versions in the order {versions}")
        return versions


class _Caching:
    """The cache: one handle, whose module is another one each time."""

    def __init__(self, source: str, out: str) -> None:
        os.environ["TFHUB_CACHE_DIR"] = out
        self._source = source
        self._handle = self._handle_in(source)
        self._sha256 = [
            hashlib.sha256(Path(source, f"module_{number}.tar.gz").read_bytes()).hexdigest()
            for number in range(_ARCHIVES)
        ]

    def _handle_in(self, source: str) -> str:
        return hosting.url_of(source)

    def write(self, number: int) -> None:
        hosting.serve(self._source, f"module_{number % _ARCHIVES}.tar.gz")
        hub.resolve(self._handle, sha256=self._sha256[number % _ARCHIVES])

    def found(self) -> list[int]:
        # A process after this one puts back what was being replaced; the server is down.
        hosting.serve(self._source, None)
        try:
            path = hub.resolve(self._handle)
        except hub.DownloadError:
            return []
        number = weight(path)
        noted = cache_entries.entry_of(self._handle).sha256
        if noted not in (None, self._sha256[number]):
            raise Mixture(f"{path}: the descriptor of another module")
        return [number]


class _CachingArchive:
    """The cache again: archives by their content; the one before is removed."""

    def __init__(self, source: str, out: str) -> None:
        os.environ["TFHUB_CACHE_DIR"] = out
        self._archives = [f"{source}/module_{number}.tar.gz" for number in range(_ARCHIVES)]

    def write(self, number: int) -> None:
        path = hub.resolve(self._archives[number % _ARCHIVES])
        for entry in cache_entries.entries():
            if entry.path != path:
                cache.remove(entry)

    def found(self) -> list[int]:
        return sorted(weight(entry.path) for entry in cache_entries.entries())


WRITERS: dict[str, Callable[[str, str], Any]] = {
    "`export_module`": _Exporting,
    "`ModuleSpec.export`": _ExportingSpec,
    "`pack`": _Packing,
    "`LatestModuleExporter`": _ExportingLatest,
    "cache from a server": _Caching,
    "cache from an archive": _CachingArchive,
}
# Where version 3 looks like version 0.
CYCLES = {name: _ARCHIVES for name in WRITERS if name.startswith("cache")}


def prune(out: str) -> None:
    """Makes room: removes all but the last three versions."""
    for folder, _, _ in os.walk(out):
        versions = sorted(
            (path for path in Path(folder).iterdir() if path.name.split(".")[0].isdigit()),
            key=lambda path: int(path.name.split(".")[0]),
        )
        for path in versions[:-3]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def hidden(out: str) -> list[str]:
    """What unfinished business has left in a folder, at any depth."""
    return [
        os.path.join(folder, name)
        for folder, folders, files in os.walk(out)
        for name in [*folders, *files]
        if name.startswith(".") and name != ".locks"
    ]
