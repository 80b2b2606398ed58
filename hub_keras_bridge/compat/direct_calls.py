"""A shorter way to a Keras layer's ``call`` than Keras's own ``__call__``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common import global_state

# The minor versions of Keras that scripts/version_matrix.py has run. What another one
# prepares in a call is not known here, and is left to it.
TRIED = ((3, 10), (3, 15))

_INSTALLED = tuple(map(int, keras.__version__.split(".")[:2]))


class DirectCalls(keras.layers.Layer):
    """A layer that does not prepare calls in which Keras would find nothing to do.

    For layers that take their inputs as they are. Keras takes some 0.2 ms to
    prepare a call, as long as many a text module takes to run, and publishes no
    shorter way to ``call``. In a version of Keras that is not among :data:`TRIED`,
    every call goes by way of Keras.
    """

    def __call__(self, inputs: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Runs ``call``, by way of Keras unless the call is a plain one."""
        if args or not self._is_plain(inputs, kwargs):
            return super().__call__(inputs, *args, **kwargs)
        # Clears the losses of the call before, and is what a layer inside inherits.
        context = self._get_call_context()
        context.training = kwargs.get("training")
        try:
            return self.call(inputs, **kwargs)
        finally:
            self._maybe_reset_call_context()

    def _is_plain(self, inputs: Any, kwargs: Mapping[str, Any]) -> bool:
        """Whether one tensor comes in eagerly, and no layer or setting is around."""
        return (
            _INSTALLED in TRIED
            and isinstance(inputs, (tf.Tensor, np.ndarray))
            and tf.executing_eagerly()
            and self.built
            # Keras notes it in the first call.
            and self._called
            and (not kwargs or self._takes_training(kwargs))
            and global_state.get_global_attribute("current_call_ctx") is None
            and getattr(inputs, "_keras_mask", None) is None
            and self.activity_regularizer is None
            and keras.distribution.distribution() is None
            # Early versions of Keras have neither.
            and getattr(self, "_remat_mode", None) is None
            and getattr(self, "quantization_mode", None) is None
        )

    def _takes_training(self, kwargs: Mapping[str, Any]) -> bool:
        return kwargs.keys() == {"training"} and "training" in self._call_signature.parameters
