"""A layer that tells Keras whether XLA can compile it, by the ops that it runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping

import keras
from absl import logging

from hub_keras_bridge.errors import Subject
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.running import xla
from hub_keras_bridge.running.backends.current import current


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

    def _note_undecided(self, inputs: Collection[str]) -> None:
        """Notes symbols whose values a call is to look at, which XLA does not.

        Args:
            inputs: names, with dtypes for messages.
        """
        self._jit.undecided.update(inputs)

    @property
    def supports_jit(self) -> bool:
        """Whether XLA can compile what calls run now, on the devices that are used.

        It cannot where inputs have another dtype than the signature, so that each call
        looks whether their values fit. Where Keras computes with another framework, it is
        whether the compiler of that takes calls of TensorFlow.

        Keras asks when a model is compiled, with ``jit_compile=True`` on any
        machine, with the default only where there is an accelerator. Setting it
        to False keeps XLA away.

        A program of another framework calls TensorFlow back for what XLA lacks.
        """
        backend = current()
        if backend is not None:
            return self._jit.allowed and backend.compiles
        if not self._jit.allowed or xla.accelerator_is_hidden() or self._is_beyond_xla():
            return False
        return not self._looks_at_values()

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

    def _looks_at_values(self) -> bool:
        jit = self._jit
        if jit.undecided and not jit.told:
            jit.told = True
            logging.warning(
                "XLA does not compile layer %r (%s): it would leave out the check that values fit, "
                "of %s; begin the model with keras.Input of the signature's dtype",
                self.name,
                self._subject,
                choices(jit.undecided),
            )
        return bool(jit.undecided)


@dataclasses.dataclass(eq=False)
class _Jit:
    """What is known of a layer and XLA; an object, so that Keras does not track it.

    Attributes:
        allowed: whether a user lets XLA compile it.
        is_beyond: trainable or not -> whether XLA lacks an op; once it was asked for.
        undecided: symbols whose values calls look at.
        told: whether there was a warning of these.
    """

    allowed: bool
    is_beyond: dict[bool, bool] = dataclasses.field(default_factory=dict)
    undecided: set[str] = dataclasses.field(default_factory=set)
    told: bool = False
