"""What an inference engine is: can it run a graph, prepare, run."""

from __future__ import annotations

import abc
import importlib.metadata
import os
import re
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

from hub_keras_bridge.errors import EngineError
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.plans.numeric import NumericGraph
from hub_keras_bridge.running.engines.packages import missing
from hub_keras_bridge.running.frozen_call import Run

# Of OpenVINO, ahead of what is the matter.
_WHERE = re.compile(r"Exception from \S+:|Check .* failed at \S+:")


@dataclass(frozen=True)
class EngineOptions:
    """How an engine is to run.

    >>> EngineOptions(threads=1)
    EngineOptions(threads=1, int8=False)

    Attributes:
        threads: how many for one call; None for as many as the engine takes.
        int8: whether weights of matrix multiplications are rounded to 8 bits.
    """

    threads: int | None = None
    int8: bool = False


class Engine(abc.ABC):
    """One engine, in the table ``hub_keras_bridge.ENGINES``.

    Example, an engine that computes nothing new:

    >>> import numpy as np, tensorflow as tf, hub_keras_bridge as hub
    >>> class ByHand(hub.Engine):
    ...     name = "by hand"
    ...     def prepare(self, graph, options):
    ...         return lambda arrays: [3 * arrays[0]]
    >>> hub.ENGINES["by hand"] = ByHand()
    >>> def module_fn():
    ...     x = tf.compat.v1.placeholder(tf.float32, [None, 2])
    ...     hub.add_signature(inputs=x, outputs=3 * x)
    >>> compiled = hub.compile(hub.create_module_spec(module_fn), engine="by hand")
    >>> compiled(np.ones([1, 2], np.float32)).tolist()
    [[3.0, 3.0]]
    >>> del hub.ENGINES["by hand"]

    Attributes:
        name: as ``engine=...`` has it.
        packages: the distributions that it needs besides TensorFlow.
        extra: the extra of this package that brings them.
        compiles_each_shape: whether a call with inputs of a shape that is new takes
            far longer than the next one.
        rounds: whether it can run with weights of 8 bits.
    """

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str | None] = None
    compiles_each_shape: ClassVar[bool] = False
    rounds: ClassVar[bool] = False

    @property
    def missing(self) -> list[str]:
        """The packages that are not installed."""
        return missing(self.packages)

    @property
    def versions(self) -> dict[str, str]:
        """Package -> its version, for each of :attr:`packages`."""
        return {package: importlib.metadata.version(package) for package in self.packages}

    @abc.abstractmethod
    def prepare(self, graph: NumericGraph, options: EngineOptions) -> Run:
        """Takes a graph in.

        Args:
            graph: numbers in, numbers out.
            options: how it is to run.

        Returns:
            A function from the inputs, C-contiguous arrays in the order of
            ``graph.inputs``, to the outputs in that of ``graph.outputs``. Several
            threads may call it at once.

        Raises:
            EngineError: it cannot run the graph.
        """


def lacks(engine: str, ops: Collection[str]) -> EngineError:
    """The error for a graph with ops that an engine does not have."""
    return _refused(engine, "ops that it has", choices(ops))


def fails(engine: str, error: Exception) -> EngineError:
    """The error for a graph that an engine has no use for, in words of its own."""
    return _refused(engine, "a graph that it takes", f"{type(error).__name__}: {first_line(error)}")


def _refused(engine: str, expected: str, found: str) -> EngineError:
    return EngineError(
        f"{engine} cannot run a graph.",
        expected=expected,
        found=found,
        advice="TensorFlow can: engine='tensorflow'; engine='auto' takes the fastest of those that "
        "can",
    )


def first_line(error: Exception) -> str:
    """What an error of a library says, without where in its source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if not _WHERE.fullmatch(line)), "no message")


class FileEngine(Engine):
    """An engine that runs files of its own, to which a graph is converted.

    Attributes:
        ending: of the file's name.
    """

    ending: ClassVar[str]

    @abc.abstractmethod
    def write(self, graph: NumericGraph, path: str, options: EngineOptions) -> None:
        """Converts a graph to a file.

        Args:
            graph: what is converted.
            path: of the file to make; files beside it have its name with other endings.
            options: how it is to run.

        Raises:
            EngineError: the engine cannot run it; nothing is written then.
        """

    @abc.abstractmethod
    def open(self, path: str, options: EngineOptions) -> Run:
        """A file as :meth:`prepare` returns it; the file may go afterwards."""

    def prepare(self, graph: NumericGraph, options: EngineOptions) -> Run:
        """Converts, and opens what it converted to."""
        with tempfile.TemporaryDirectory(prefix="hub_keras_bridge_") as folder:
            path = os.path.join(folder, f"module{self.ending}")
            self.write(graph, path, options)
            return self.open(path, options)
