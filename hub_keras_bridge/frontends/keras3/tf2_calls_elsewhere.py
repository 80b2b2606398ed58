"""How a layer calls a TF2 SavedModel where Keras computes with another framework."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from hub_keras_bridge.errors import BackendError, Subject
from hub_keras_bridge.facts.feeding import Slot
from hub_keras_bridge.facts.signatures import DEFAULT_KEY
from hub_keras_bridge.frontends.keras3.pure_calls import PureCalls
from hub_keras_bridge.frontends.keras3.tf2_weights import Tf2Weights
from hub_keras_bridge.frontends.tf2.inputs import named
from hub_keras_bridge.frontends.tf2.on_values import function_of_values
from hub_keras_bridge.frontends.tf2.restored_model import RestoredModel
from hub_keras_bridge.frontends.tf2.traced_plan import traced_plan
from hub_keras_bridge.plans.trust import Trust
from hub_keras_bridge.running.backends.backend import Backend
from hub_keras_bridge.running.backends.entering import Entry, array_of, entry_of
from hub_keras_bridge.running.function_of_values import FunctionOfValues


@dataclasses.dataclass(frozen=True, eq=False)
class _Call:
    """One kind of call.

    Attributes:
        function: on values.
        inputs: its tensors that are fed, in order.
        outputs: a nest of what it returns.
    """

    function: FunctionOfValues
    inputs: tuple[str, ...]
    outputs: Any


class Tf2CallsElsewhere:
    """Calls of what TensorFlow restored.

    Args:
        model: that.
        weights: its variables.
        choose: from what its function returns to what of it a call returns.
        trust: what may reach outside of it.
        subject: the SavedModel.
        backend: the framework.
    """

    def __init__(
        self,
        model: RestoredModel,
        weights: Tf2Weights,
        choose: Callable[[Any], Any],
        trust: Trust,
        subject: Subject,
        backend: Backend,
    ) -> None:
        self._model = model
        self._weights = weights
        self._choose = choose
        self._trust = trust
        self._subject = subject
        self._backend = backend
        self._pure = PureCalls(backend, weights.by_node, weights.next_seed)
        self._made: dict[Any, _Call] = {}

    def unmixed(self, inputs: Any) -> Any:
        """The inputs; of a nest with some arrays, the other values made arrays too."""
        flat = tf.nest.flatten(inputs)
        if not any(self._backend.is_array(v) or isinstance(v, keras.KerasTensor) for v in flat):
            return inputs
        return self._model.mapped(inputs, lambda slot, v: array_of(v, slot, self._backend))

    def run(self, inputs: Any, training: bool | tf.Tensor) -> Any:
        """What a call returns."""

        def entry(slot: Slot, value: Any) -> Entry:
            return entry_of(value, slot, self._backend)

        entries = tf.nest.flatten(self._model.mapped(inputs, entry))
        if others := [each for each in entries if not isinstance(each, Entry)]:
            raise BackendError(
                f"Cannot hand the inputs of a {self._subject.kind} over from "
                f"{self._backend.title}.",
                self._subject,
                expected="values, or lists, tuples and dicts of values",
                found=f"a {type(others[0]).__name__}",
                advice="use the layer with Keras on TensorFlow",
            )
        return self._run(self._call(bool(training)), entries)

    def standing_losses(self) -> list[Any]:
        """The regularization losses that it lists."""
        if not self._model.regularization_losses:
            return []
        if "losses" not in self._made:
            function = self._model.trace_losses()
            self._made["losses"] = self._of_values(function, function.structured_outputs)
        losses: list[Any] = self._run(self._made["losses"], [])
        return losses

    def _call(self, training: bool) -> _Call:
        if training not in self._made:
            function = self._model.trace_call(self._model.input_specs, training=training)
            self._made[training] = self._of_values(
                function, self._choose(function.structured_outputs)
            )
        return self._made[training]

    def route(self) -> str:
        """By what way ordinary calls on arrays go, in words."""
        call = self._call(training=False)
        slots = tf.nest.flatten(self._model.mapped(self._model.input_specs, lambda slot, _: slot))
        return self._pure.route(call.function, call.inputs, slots, self._subject)

    def _of_values(self, function: Any, outputs: Any) -> _Call:
        specs = tf.nest.map_structure(tf.type_spec_from_value, outputs)
        inputs = named(self._model.input_specs, "inputs")
        self._pure.need_arrays(inputs, named(specs, DEFAULT_KEY), self._subject)
        traced = traced_plan(
            function,
            tf.nest.flatten(outputs),
            self._weights.listed(self._model),
            self._model.asset_paths,
            self._subject,
        )
        made = function_of_values(traced, self._trust)
        return _Call(made, tuple(traced.input_specs), specs)

    def _run(self, call: _Call, entries: list[Entry]) -> Any:
        (arrays,) = self._pure.call([call.function], call.inputs, entries, self._subject)
        return tf.nest.pack_sequence_as(call.outputs, arrays)
