"""The sorts of modules that are measured, each with its native Keras twin."""

from __future__ import annotations

import atexit
import functools
import tempfile
from collections.abc import Collection, Iterable
from pathlib import Path

from benchmarks.kinds import cnn, embedding, lstm, mlp, transformer
from benchmarks.kinds.kind import Kind, Module

KINDS: dict[str, Kind] = {
    kind.name: kind for kind in (cnn.KIND, transformer.KIND, lstm.KIND, embedding.KIND)
}

# With those that one comparison alone is about.
EVERY_KIND: dict[str, Kind] = {**KINDS, mlp.KIND.name: mlp.KIND}

# What a quick run keeps where every kind would take long: XLA compiles the
# native twins of the others for minutes.
QUICK_KINDS = ("lstm", "embedding")


def asked_for(kinds: Collection[str], among: Iterable[str] = KINDS) -> list[str]:
    """The kinds that a comparison measures, of those that it is about."""
    return [name for name in among if name in kinds]


@functools.cache
def published(name: str, megabytes: float | None = None) -> Module:
    """A module of this kind, published once per run into a temporary folder.

    Args:
        name: of the kind.
        megabytes: size of its weights; None for the kind's own.
    """
    return EVERY_KIND[name].publish(_folder(), megabytes)


@functools.cache
def _folder() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="benchmarks_")
    atexit.register(folder.cleanup)
    return Path(folder.name)
