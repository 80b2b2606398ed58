"""Files that a module is converted to: endings, packages. No TensorFlow."""

from __future__ import annotations

import os
from dataclasses import dataclass

from hub_keras_bridge.files.targets import other_ending
from hub_keras_bridge.running.engines import packages
from hub_keras_bridge.running.engines.packages import Packages


@dataclass(frozen=True)
class FileKind:
    """One kind of file.

    Attributes:
        noun: what it is, for messages.
        ending: of its name.
        beside: the ending of a second file, which has the weights; None if there is none.
        packages: what has to be installed to make it.
        rounds: whether it may have weights of 8 bits.
    """

    noun: str
    ending: str
    beside: str | None = None
    packages: Packages | None = None
    rounds: bool = False

    @property
    def missing(self) -> list[str]:
        """The packages that are not installed."""
        return packages.missing(self.packages.names) if self.packages else []

    def files(self, path: str | os.PathLike[str]) -> list[str]:
        """The paths of all that is made."""
        path = os.fspath(path)
        return [path] if self.beside is None else [path, other_ending(path, self.beside)]


KERAS = FileKind("a Keras model", ".keras")
ONNX = FileKind("an ONNX file", ".onnx", packages=packages.ONNX_RUNTIME, rounds=True)
OPENVINO = FileKind("an OpenVINO model", ".xml", beside=".bin", packages=packages.OPENVINO)

# What to convert to -> the file of an engine.
ENGINE_FILES = {"onnx": ONNX, "openvino": OPENVINO}
