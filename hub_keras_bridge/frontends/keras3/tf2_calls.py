"""How a layer calls a TF2 SavedModel where Keras computes with TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from hub_keras_bridge.errors import Subject
from hub_keras_bridge.frontends.keras3.call_checks import need_own_values
from hub_keras_bridge.frontends.keras3.tf2_weights import Tf2Weights
from hub_keras_bridge.frontends.tf2.restored_model import RestoredModel


class Tf2Calls:
    """Calls of what TensorFlow restored.

    Args:
        model: that.
        weights: its variables.
        choose: from what its function returns to what of it a call returns.
        subject: the SavedModel.
    """

    def __init__(
        self,
        model: RestoredModel,
        weights: Tf2Weights,
        choose: Callable[[Any], Any],
        subject: Subject,
    ) -> None:
        self._model = model
        self._weights = weights
        self._choose = choose
        self._subject = subject

    def unmixed(self, inputs: Any) -> Any:
        """As :meth:`RestoredModel.unmixed`."""
        return self._model.unmixed(inputs)

    def run(self, inputs: Any, training: bool | tf.Tensor) -> Any:
        """What a call returns."""
        need_own_values(self._weights.variables, self._subject)
        return self._choose(self._model.run_restored(inputs, training))

    def standing_losses(self) -> list[Any]:
        """The regularization losses that it lists."""
        return [loss() for loss in self._model.regularization_losses]
