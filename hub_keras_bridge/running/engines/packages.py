"""The packages that engines need, and whether they are there, told without TensorFlow."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from hub_keras_bridge.errors import EngineError, Subject


@dataclass(frozen=True)
class Packages:
    """What has to be installed besides TensorFlow.

    Attributes:
        names: the distributions, which are imported by the same names.
        extra: the extra of this package that brings them, if one does.
    """

    names: tuple[str, ...]
    extra: str | None


ONNX_RUNTIME = Packages(("onnx", "onnxruntime", "tf2onnx"), "onnx")
OPENVINO = Packages(("openvino",), "openvino")

# Of the engines that are there from the start and need any, by name.
BUILT_IN = {"onnxruntime": ONNX_RUNTIME, "openvino": OPENVINO}


def missing(names: Iterable[str]) -> list[str]:
    """Those that are not installed.

    >>> missing(["os", "no_such_package"])
    ['no_such_package']
    """
    return [name for name in names if importlib.util.find_spec(name) is None]


def not_installed(
    engine: str, packages: Packages, absent: Collection[str], subject: Subject
) -> EngineError:
    """The error about an engine whose packages are not all there.

    Args:
        engine: its name.
        packages: what it needs.
        absent: what of that is not installed.
        subject: what it is to run.
    """
    what = f"'hub_keras_bridge[{packages.extra}]'" if packages.extra else " ".join(absent)
    return EngineError(
        f"Cannot compile a {subject.kind} for the engine {engine!r}: it is not installed.",
        subject,
        expected=f"the packages {', '.join(packages.names)}",
        found=f"no {', '.join(absent)}",
        advice=f"python -m pip install {what}",
    )


def need_built_in(engine: str, handle: str) -> None:
    """Checks that an engine chosen by name is installed, ahead of all that takes long.

    Of one that is not built in nothing is known here; that is told where engines are.

    Raises:
        EngineError: a package is missing.
    """
    if engine in BUILT_IN and (absent := missing(BUILT_IN[engine].names)):
        raise not_installed(engine, BUILT_IN[engine], absent, Subject(handle))
