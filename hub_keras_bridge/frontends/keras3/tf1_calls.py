"""How a layer calls a TF1 Hub module where Keras computes with TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from hub_keras_bridge.compat import keras as private_keras
from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.errors import InputError
from hub_keras_bridge.frontends.keras3.colours import ColourCheck, other_colours
from hub_keras_bridge.frontends.keras3.stateless import run_stateless
from hub_keras_bridge.frontends.keras3.tf1_module import Tf1Module
from hub_keras_bridge.plans.endpoint import Endpoint
from hub_keras_bridge.plans.plan import Plan
from hub_keras_bridge.plans.program import Program


class Tf1Calls:
    """Calls of one signature.

    Args:
        module: the module.
        inference: where ordinary calls go.
        training: where training calls go.
    """

    def __init__(self, module: Tf1Module, inference: Endpoint, training: Endpoint) -> None:
        self._module = module
        self._inference, self._training = inference, training
        self._colours = ColourCheck(inference)

    def unmixed(self, inputs: Any) -> Any:
        """As :meth:`Content.unmixed`."""
        return self._inference.unmixed(inputs)

    def run(
        self, inputs: Any, *, training: bool | tf.Tensor, trainable: bool
    ) -> tuple[Any, Sequence[tf.Tensor]]:
        """As :meth:`Content.run`."""
        # Not asked of TensorFlow, which takes long to say no.
        if not isinstance(training, bool):
            return self._run_either(inputs, training, trainable)
        endpoint = self._training if training else self._inference
        flat = endpoint.bind(inputs)
        self._colours.look(endpoint.subject, lambda name: other_colours(endpoint.fed(flat, name)))
        if private_keras.is_stateless():
            return self._run_stateless(endpoint, flat, training, trainable)
        runtime = self._module.runtime
        run = runtime.call_function(endpoint, training=training, watch=trainable)
        if trainable:
            private_tf.announce_variables(run)
        outputs = endpoint.pack(run(*flat))
        if not trainable or not endpoint.variant.losses:
            return outputs, ()
        return outputs, runtime.losses_function(endpoint)(*flat)

    @property
    def _are_alike(self) -> bool:
        """Whether a graph can choose between both variants."""
        both = self._inference, self._training
        losses = {len(fed.fetches) if (fed := each.fed_losses) else 0 for each in both}
        return both[0].interface == both[1].interface and len(losses) == 1

    def _run_either(
        self, inputs: Any, training: tf.Tensor, trainable: bool
    ) -> tuple[Any, Sequence[tf.Tensor]]:
        """Runs the one or the other variant, as a tensor tells."""

        def branch(learning: bool) -> Callable[[], tuple[Any, Sequence[tf.Tensor]]]:
            return lambda: self.run(inputs, training=learning, trainable=trainable)

        if not self._are_alike:
            raise InputError(
                "Cannot choose between the variants of a TF1 Hub module by a tensor.",
                self._inference.subject,
                expected="variants with outputs and losses that are alike, or a Python bool",
                found="a tensor as training, and variants with other outputs or losses",
                advice="call the layer twice, with training=True and training=False, and use the "
                "result that you mean",
            )
        outputs, losses = tf.cond(training, branch(True), branch(False))
        return outputs, losses

    def _run_stateless(
        self, endpoint: Endpoint, flat: Sequence[tf.Tensor], training: bool, trainable: bool
    ) -> tuple[Any, Sequence[tf.Tensor]]:
        given = dict(zip(endpoint.facts.input_tensors, flat, strict=True))
        losses = endpoint.fed_losses if trainable else None
        chosen = endpoint.call(training=training)
        outputs = endpoint.pack(self._on_values(endpoint.program, chosen, given))
        return outputs, self._on_values(endpoint.program, losses, given) if losses else ()

    def _on_values(
        self, program: Program, chosen: Plan, given: Mapping[str, tf.Tensor]
    ) -> list[tf.Tensor]:
        module = self._module
        return run_stateless(module.runtime, program, chosen, given, module.variables)

    def route(self) -> str | None:
        """None: there is none to choose."""
        return None

    def symbol_dtype(self, dtype: tf.DType) -> tf.DType:
        """The dtype of what Keras makes an input for: the input's own."""
        return dtype

    def standing_losses(self) -> list[Any]:
        """REGULARIZATION_LOSSES that need no input."""
        program = self._training.program
        if private_keras.is_stateless():
            chosen = program.standing_losses
            return self._on_values(program, chosen, {}) if chosen else []
        return self._module.runtime.standing_losses(program)
