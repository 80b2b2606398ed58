"""The packages that engines need, told without TensorFlow."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Packages:
    """What has to be installed besides TensorFlow.

    Attributes:
        names: the distributions, which are imported by the same names.
        extra: the extra of this package that brings them.
    """

    names: tuple[str, ...]
    extra: str


ONNX_RUNTIME = Packages(("onnx", "onnxruntime", "tf2onnx"), "onnx")
OPENVINO = Packages(("openvino",), "openvino")


def missing(names: Iterable[str]) -> list[str]:
    """Those that are not installed.

    >>> missing(["os", "no_such_package"])
    ['no_such_package']
    """
    return [name for name in names if importlib.util.find_spec(name) is None]
