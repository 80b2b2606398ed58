"""Compiled: a call with its weights, run by an inference engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hub_keras_bridge.errors import InputError, Subject
from hub_keras_bridge.frontends.compiled.report import Report
from hub_keras_bridge.running.frozen_call import Arrays, Run


class Compiled:
    """What :func:`compile` returns: a snapshot of a module, for inference alone.

    It takes what a call of the layer takes: arrays, lists and tensors, a bare value or
    a dict by input name, or inputs by keyword. It returns NumPy arrays (strings as
    ``bytes``), one or a dict by output name, as the layer would return tensors. Several
    threads may call it at once.

    >>> import tensorflow as tf, hub_keras_bridge as hub
    >>> def module_fn():
    ...     x = tf.compat.v1.placeholder(tf.float32, [None, 2])
    ...     hub.add_signature(inputs={"x": x}, outputs=3 * x)
    >>> compiled = hub.compile(hub.create_module_spec(module_fn), engine="xla")
    >>> compiled(x=[[1.0, 2.0]])
    array([[3., 6.]], dtype=float32)
    >>> compiled
    <compiled TF1 Hub module: xla>
    """

    def __init__(
        self,
        bind: Callable[[Any], Arrays],
        run: Run,
        pack: Callable[[Arrays], Any],
        subject: Subject,
        report: Report,
    ) -> None:
        self._bind = bind
        self._run = run
        self._pack = pack
        self._subject = subject
        self._report = report

    def __call__(self, inputs: Any = None, /, **by_name: Any) -> Any:
        """Runs the signature.

        Args:
            inputs: a value, or a dict by input name.
            **by_name: the inputs, where not in ``inputs``.

        Returns:
            One output, or all by name.

        Raises:
            InputError: the inputs do not fit the signature, or have no values yet.
        """
        if by_name:
            if inputs is not None:
                raise InputError(
                    f"Cannot call a compiled {self._subject.kind} with inputs of two kinds.",
                    self._subject,
                    expected="one value, or inputs by keyword",
                    found=f"a value, and {', '.join(by_name)}",
                    advice="pass all inputs by keyword, or a dict",
                )
            inputs = by_name
        return self._pack([*map(np.asarray, self._run(self._bind(inputs)))])

    @property
    def engines(self) -> tuple[str, ...]:
        """The names of the engines that run it."""
        return self._report.engines

    def report(self) -> Report:
        """Which engine runs what, how long each took, and why others do not.

        ``print(compiled.report())`` shows a table.
        """
        return self._report

    def __repr__(self) -> str:
        return f"<compiled {self._subject.kind}: {', '.join(self.engines)}>"
