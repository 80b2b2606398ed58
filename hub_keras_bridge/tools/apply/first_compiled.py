"""A call that is compiled for an inference engine when there are inputs to try it on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from hub_keras_bridge.frontends.compiled.compiled import Compiled

# Values by input name, a batch.
Inputs: TypeAlias = Mapping[str, Any]


class FirstCompiled:
    """A call whose engines are tried on the first real batches.

    Several threads may call it at once; one of them compiles.

    Args:
        compile: from batches to what runs such batches.
    """

    def __init__(self, compile: Callable[[Sequence[Inputs]], Compiled]) -> None:
        self._compile = compile
        self._compiled: Compiled | None = None
        self._lock = threading.Lock()

    @property
    def engines(self) -> tuple[str, ...]:
        """The names of the engines that run it; none before it is compiled."""
        return self._compiled.engines if self._compiled else ()

    def need(self, batches: Callable[[], Sequence[Inputs]]) -> Compiled:
        """What runs batches, compiled for these if it was not before.

        Args:
            batches: makes those to try engines on, of sizes that calls will have.
        """
        with self._lock:
            if self._compiled is None:
                self._compiled = self._compile(batches())
        return self._compiled

    def __call__(self, inputs: Inputs) -> Any:
        """Runs a batch; see :class:`Compiled`."""
        return self.need(lambda: [inputs])(inputs)
