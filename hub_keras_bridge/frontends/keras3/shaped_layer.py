"""A layer that tells Keras the dtypes and shapes of what goes in and out."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from hub_keras_bridge.frontends.keras3.call_checks import need_own_strategy
from hub_keras_bridge.frontends.keras3.content_layer import ContentLayer
from hub_keras_bridge.frontends.keras3.symbolic import ShapeMemory, known, symbols


class ShapedLayer(ContentLayer):
    """What Keras asks of a layer before there are values.

    Attributes:
        _shapes: what outputs are like, as far as it was asked for.
    """

    _shapes: ShapeMemory

    @property
    def _policy_dtype(self) -> str:
        """The compute dtype of the layer's dtype policy."""
        return str(super().compute_dtype)

    @property
    def compute_dtype(self) -> str:
        """The dtype of the only input, so that Sequential asks for it."""
        only = self._content.input_dtype if hasattr(self, "_content") else None
        return only or self._policy_dtype

    @property
    def variable_dtype(self) -> str:
        """As ``compute_dtype``; each weight has its own dtype anyway."""
        return self.compute_dtype

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shapes of the outputs for inputs of these shapes."""
        found = self._symbols_for(self._content.given_shapes(input_shape))
        return tf.nest.map_structure(lambda tensor: tuple(tensor.shape), found)

    def compute_output_spec(
        self,
        inputs: Any = None,
        training: bool | None = None,  # noqa: ARG002
    ) -> Any:
        """Shapes and dtypes of the outputs for symbolic inputs.

        Raises:
            InputError: the inputs can never fit the signature.
            SignatureError: the rank of an output is unknown, or Keras lacks its dtype.
            StrategyError: a layer to be trained under a strategy made after it.
        """
        need_own_strategy(self, self._content.subject)
        self._note_undecided(self._content.undecided(inputs))
        return self._symbols_for(self._content.given(inputs))

    def _symbols_for(self, given: Any) -> Any:
        content, inputs = self._content, known(given)
        outputs = self._shapes.find(inputs)
        if outputs is None:
            outputs = known(content.output_specs(given))
            if content.is_here:
                self._shapes.note(inputs, outputs)
        return symbols(outputs, self._policy_dtype, content.call_subject, content.output_name)
