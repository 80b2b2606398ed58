"""How a layer calls a TF1 Hub module where Keras computes with another framework."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from hub_keras_bridge.frontends.keras3.colours import (
    ColourCheck,
    far_above_one,
    other_colours,
    without_rescaling,
)
from hub_keras_bridge.frontends.keras3.pure_calls import PureCalls, symbol_dtype
from hub_keras_bridge.frontends.keras3.tf1_module import Tf1Module
from hub_keras_bridge.plans.endpoint import Endpoint
from hub_keras_bridge.plans.plan import Plan
from hub_keras_bridge.running.backends.backend import Backend
from hub_keras_bridge.running.backends.entering import Entry, array_of, entry_of
from hub_keras_bridge.running.function_of_values import FunctionOfValues


class Tf1CallsElsewhere:
    """Calls of one signature.

    Args:
        module: the module.
        inference: where ordinary calls go.
        training: where training calls go.
        backend: the framework.
    """

    def __init__(
        self, module: Tf1Module, inference: Endpoint, training: Endpoint, backend: Backend
    ) -> None:
        self._module = module
        self._inference, self._training = inference, training
        self._backend = backend
        self._colours = ColourCheck(inference)
        self._pure = PureCalls(backend, module.variables, module.next_seed)

    def unmixed(self, inputs: Any) -> Any:
        """As :meth:`Content.unmixed`, of the framework's arrays."""
        backend = self._backend
        if not isinstance(inputs, Mapping) or not any(map(backend.is_array, inputs.values())):
            return inputs
        slot = self._inference.slot
        return {
            name: array_of(value, slot(name), backend)
            for name, value in self._inference.by_name(inputs).items()
        }

    def run(
        self, inputs: Any, *, training: bool | tf.Tensor, trainable: bool
    ) -> tuple[Any, Sequence[Any]]:
        """As :meth:`Content.run`."""
        endpoint = self._training if training else self._inference
        facts = endpoint.facts
        outputs = {key: facts.outputs[key] for key in endpoint.outputs}
        self._pure.need_arrays(facts.inputs, outputs, endpoint.subject)
        given = endpoint.by_name(inputs)
        entries = [
            entry_of(given[name], endpoint.slot(name), self._backend) for name in facts.inputs
        ]
        by_name = dict(zip(facts.inputs, entries, strict=True))
        self._colours.look(endpoint.subject, lambda name: self._other_colours(by_name[name]))
        plans = [endpoint.call(training=bool(training)), endpoint.fed_losses if trainable else None]
        # With one seed for both a loss is of the numbers that the outputs are of.
        fetched, losses = self._call(endpoint, plans, entries)
        return endpoint.pack(fetched), losses

    def _other_colours(self, entry: Entry) -> str | None:
        (images,) = entry.values
        if not self._backend.is_array(images):
            return other_colours(images)
        if not self._backend.has_value(images):
            return without_rescaling(self._backend.spec(images).dtype)
        # The frameworks know no largest of none.
        return None if 0 in images.shape else far_above_one(float(keras.ops.max(images)))

    def symbol_dtype(self, dtype: tf.DType) -> tf.DType:
        """As :func:`pure_calls.symbol_dtype`."""
        return symbol_dtype(dtype)

    def standing_losses(self) -> list[Any]:
        """REGULARIZATION_LOSSES that need no input."""
        (losses,) = self._call(self._training, [self._training.program.standing_losses], ())
        return losses

    def _call(
        self, endpoint: Endpoint, plans: Sequence[Plan | None], entries: Sequence[Entry]
    ) -> list[list[Any]]:
        functions = [self._of_values(endpoint, plan) if plan else None for plan in plans]
        inputs = endpoint.facts.input_tensors if entries else []
        return self._pure.call(functions, inputs, entries, endpoint.subject)

    def _of_values(self, endpoint: Endpoint, plan: Plan) -> FunctionOfValues:
        return self._module.runtime.function_of_values(endpoint.program, plan, seeded=True)

    def route(self) -> str:
        """By what way ordinary calls on arrays go, in words."""
        endpoint = self._inference
        function = self._of_values(endpoint, endpoint.call(training=False))
        slots = [endpoint.slot(name) for name in endpoint.facts.inputs]
        inputs = endpoint.facts.input_tensors
        return self._pure.route(function, inputs, slots, endpoint.subject)
