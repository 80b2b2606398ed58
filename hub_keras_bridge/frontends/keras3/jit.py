"""A layer that tells Keras whether XLA can compile it, by the ops that it runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import keras
from absl import logging

from hub_keras_bridge.errors import Subject
from hub_keras_bridge.running import xla


class JitByOps(keras.layers.Layer):
    """A layer whose ``supports_jit`` follows from the ops that its calls run."""

    @property
    def _subject(self) -> Subject:
        """The layer's call, for messages."""
        raise NotImplementedError

    def _missing_ops(self) -> Mapping[str, str] | None:
        """What calls run now and XLA cannot compile, as :func:`xla.lacking` tells it.

        None where what they run is not here: in a .keras file being read. What was
        decided when it was saved then holds.
        """
        raise NotImplementedError

    @property
    def supports_jit(self) -> bool:
        """Whether XLA can compile what calls run now, on the devices that are used.

        Keras asks when a model is compiled, with ``jit_compile=True`` on any
        machine, with the default only where there is an accelerator. Setting it
        to False keeps XLA away.
        """
        return self._jit.allowed and not xla.accelerator_is_hidden() and not self._is_beyond_xla()

    @supports_jit.setter
    def supports_jit(self, allowed: bool) -> None:
        self._jit = _Jit(allowed)

    def _is_beyond_xla(self) -> bool:
        known = self._jit.is_beyond
        if self.trainable not in known:
            missing = self._missing_ops()
            if missing is None:
                return False
            if missing:
                logging.warning(
                    "XLA cannot compile layer %r (%s): it has no kernels for %s",
                    self.name,
                    self._subject,
                    xla.show(missing),
                )
            known[self.trainable] = bool(missing)
        return known[self.trainable]


@dataclasses.dataclass(eq=False)
class _Jit:
    """What is known of a layer and XLA; an object, so that Keras does not track it.

    Attributes:
        allowed: whether a user lets XLA compile it.
        is_beyond: trainable or not -> whether XLA lacks an op; once it was asked for.
    """

    allowed: bool
    is_beyond: dict[bool, bool] = dataclasses.field(default_factory=dict)
