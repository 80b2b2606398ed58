"""How a layer calls a TF1 Hub module where Keras computes with another framework.

TensorFlow's part is a function without effects, of all that it depends on: inputs, values
of variables, a seed. The framework's arrays go in and come out, and it differentiates the
call; new values of variables are told to Keras, which knows where they belong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from hub_keras_bridge.compat import keras as private_keras
from hub_keras_bridge.errors import BackendError
from hub_keras_bridge.facts.text_bytes import TEXT_BYTES
from hub_keras_bridge.frontends.keras3.tf1_module import Tf1Module
from hub_keras_bridge.plans.endpoint import Endpoint
from hub_keras_bridge.plans.of_values import SEED
from hub_keras_bridge.plans.plan import Plan
from hub_keras_bridge.running import xla
from hub_keras_bridge.running.backends.backend import Backend
from hub_keras_bridge.running.backends.entering import Entry, Way, entry_of
from hub_keras_bridge.running.backends.widths import narrowed, need_digits
from hub_keras_bridge.running.function_of_values import FunctionOfValues
from hub_keras_bridge.running.pure_function import PureFunction


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
        self._made: dict[Any, PureFunction] = {}

    def run(
        self, inputs: Any, *, training: bool | tf.Tensor, trainable: bool
    ) -> tuple[Any, Sequence[Any]]:
        """As :meth:`Content.run`."""
        endpoint = self._training if training else self._inference
        self._need_arrays(endpoint)
        given = endpoint.by_name(inputs)
        entries = [
            entry_of(given[name], endpoint.slot(name), self._backend)
            for name in endpoint.facts.inputs
        ]
        plans = [endpoint.call(training=bool(training)), endpoint.fed_losses if trainable else None]
        # One seed for both, so that a loss is of the numbers that the outputs are of.
        outputs, losses = self._call(endpoint, plans, entries)
        return endpoint.pack(outputs), losses

    def symbol_dtype(self, dtype: tf.DType) -> tf.DType:
        """The dtype of what Keras makes an input for: of text that of its bytes."""
        return TEXT_BYTES if dtype == tf.string else dtype

    def standing_losses(self) -> list[Any]:
        """REGULARIZATION_LOSSES that need no input."""
        (losses,) = self._call(self._training, [self._training.program.standing_losses], ())
        return losses

    def _call(
        self, endpoint: Endpoint, plans: Sequence[Plan | None], entries: Sequence[Entry]
    ) -> list[list[Any]]:
        """What each plan fetches; its variables' new values are told to Keras."""
        of_values = self._module.runtime.function_of_values
        functions = [plan and of_values(endpoint.program, plan, seeded=True) for plan in plans]
        is_random = any(function and SEED in function.plan.values for function in functions)
        seed = self._next_seed(endpoint) if is_random else None
        return [
            self._fetched(endpoint, function, entries, seed) if function else []
            for function in functions
        ]

    def _fetched(
        self, endpoint: Endpoint, of_values: FunctionOfValues, entries: Sequence[Entry], seed: Any
    ) -> list[Any]:
        function = self._function(endpoint, of_values, entries)
        variables = self._module.variables
        values = [
            seed if node == SEED else self._value(node, of_values) for node in of_values.plan.values
        ]
        arguments = [value for entry in entries for value in entry.values]
        results = self._backend.call(function, [*arguments, *values])
        count = len(results) - len(of_values.plan.written)
        for node, value in zip(of_values.plan.written, results[count:], strict=True):
            self._need_value(self._backend.has_value(value), f"variable {node!r}", endpoint)
            variables[node].assign(value)
        return results[:count]

    def _value(self, node: str, of_values: FunctionOfValues) -> Any:
        value = private_keras.current_value(self._module.variables[node])
        # What is assigned after the call is not to change what its gradient is of.
        return self._backend.kept(value) if node in of_values.plan.written else value

    def _next_seed(self, endpoint: Endpoint) -> Any:
        self._need_value(not self._backend.is_tracing(), "the seed", endpoint)
        return self._backend.seed(self._module.next_seed())

    def _need_value(self, has_value: bool, what: str, endpoint: Endpoint) -> None:
        """Checks that no variable is to hold a value that is yet to come.

        Raises:
            BackendError: one is.
        """
        if has_value or private_keras.is_stateless():
            return
        raise BackendError(
            f"Cannot update {what} of a {endpoint.subject.kind} in a function that "
            f"{self._backend.title} traces.",
            endpoint.subject,
            expected="values that the function takes and returns",
            found="a call that would assign to the variable itself",
            advice="call stateless_call of the layer or the model there, which takes the values of "
            "variables and returns the new ones",
        )

    def _function(
        self, endpoint: Endpoint, of_values: FunctionOfValues, entries: Sequence[Entry]
    ) -> PureFunction:
        """What the framework calls for inputs that enter in some way."""
        key = (of_values, tuple(entry.way for entry in entries))
        if key not in self._made:
            self._made[key] = self._make(endpoint, of_values, entries)
        return self._made[key]

    def _make(
        self, endpoint: Endpoint, of_values: FunctionOfValues, entries: Sequence[Entry]
    ) -> PureFunction:
        backend = self._backend
        names = endpoint.facts.input_tensors if entries else []
        ways = [entry.way for entry in entries]
        nodes = list(of_values.plan.values)
        dtypes = [spec.dtype for _, spec in of_values.specs[len(of_values.plan.inputs) :]]

        subject = endpoint.subject
        written_names = [f"variable {node!r}" for node in of_values.plan.written]

        def run(*arguments: tf.Tensor) -> list[tf.Tensor]:
            remaining = iter(arguments)
            flat = [tensor for way in ways for tensor in way.enter(remaining)]
            inputs = dict(zip(names, flat, strict=True))
            values = [tf.cast(next(remaining), dtype) for dtype in dtypes]
            outputs, written = of_values(inputs, dict(zip(nodes, values, strict=True)).__getitem__)
            return [
                *(narrowed(tensor, "an output", backend, subject) for tensor in outputs),
                *(
                    narrowed(tensor, what, backend, subject)
                    for what, tensor in zip(written_names, written.values(), strict=True)
                ),
            ]

        lacking = xla.lacking(xla.ops_of(of_values.plan.graph_def))
        return PureFunction(run, lacking, subject)

    def route(self) -> str:
        """By what way ordinary calls on arrays go, in words."""
        endpoint = self._inference
        of_values = self._module.runtime.function_of_values(
            endpoint.program, endpoint.call(training=False), seeded=True
        )
        slots = [endpoint.slot(name) for name in endpoint.facts.inputs]
        specs = [slot.spec_of_array(self._backend.carried) for slot in slots]
        ways = [Way(slot, spec.dtype, 1) for slot, spec in zip(slots, specs, strict=True)]
        entries = [Entry(way, ()) for way in ways]
        values = [
            tf.TensorSpec(spec.shape, self._backend.carried(spec.dtype))
            for _, spec in of_values.specs[len(of_values.plan.inputs) :]
        ]
        return self._backend.route(self._function(endpoint, of_values, entries), [*specs, *values])

    def _need_arrays(self, endpoint: Endpoint) -> None:
        """Checks that the framework can hold what a call takes and returns.

        Raises:
            BackendError: it cannot.
        """
        backend, subject = self._backend, endpoint.subject
        if tf.inside_function():
            raise BackendError(
                f"Cannot call a ModuleLayer in a function of TensorFlow: Keras computes with "
                f"{backend.title}.",
                subject,
                expected=f"a call on arrays of {backend.title} or NumPy, or on tensors with values",
                found="a call in tf.function or tf.data.Dataset.map",
                advice="use hub.load(handle) there, which is TensorFlow's; or map over batches in "
                "Python",
            )
        for key in endpoint.outputs:
            info = endpoint.facts.outputs[key]
            is_dense = isinstance(info.type_spec, tf.TensorSpec)
            if not is_dense or backend.carried(info.dtype) is None:
                raise BackendError(
                    f"Cannot return output {key!r} of a {subject.kind} to {backend.title}.",
                    subject,
                    expected="a dense output of numbers",
                    found=str(info),
                    advice="use hub.load(handle), which returns TensorFlow's tensors",
                )
            need_digits(f"output {key!r}", info.dtype, backend, subject)
        for name, info in endpoint.facts.inputs.items():
            need_digits(f"input {name!r}", info.dtype, backend, subject)
