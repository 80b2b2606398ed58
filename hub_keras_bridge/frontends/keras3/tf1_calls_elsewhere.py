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
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.facts.text_bytes import TEXT_BYTES
from hub_keras_bridge.frontends.keras3.tf1_module import Tf1Module
from hub_keras_bridge.plans.endpoint import Endpoint
from hub_keras_bridge.plans.of_values import SEED
from hub_keras_bridge.plans.plan import Plan
from hub_keras_bridge.running import xla
from hub_keras_bridge.running.backends.backend import Backend
from hub_keras_bridge.running.backends.entering import Entry, entry_of
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
        losses = endpoint.fed_losses if trainable else None
        # One seed for both, so that a loss is of the numbers that the outputs are of.
        seed = self._module.next_seed()
        outputs = self._call(endpoint, endpoint.call(training=bool(training)), entries, seed)
        packed = endpoint.pack(outputs)
        return packed, self._call(endpoint, losses, entries, seed) if losses else ()

    def symbol_dtype(self, dtype: tf.DType) -> tf.DType:
        """The dtype of what Keras makes an input for: of text that of its bytes."""
        return TEXT_BYTES if dtype == tf.string else dtype

    def standing_losses(self) -> list[Any]:
        """REGULARIZATION_LOSSES that need no input."""
        chosen = self._training.program.standing_losses
        return self._call(self._training, chosen, (), None) if chosen else []

    def _call(
        self, endpoint: Endpoint, chosen: Plan, entries: Sequence[Entry], seed: Any
    ) -> list[Any]:
        """What a plan fetches; its variables' new values are told to Keras."""
        of_values = self._module.runtime.function_of_values(endpoint.program, chosen, seeded=True)
        function = self._function(endpoint, of_values, entries)
        variables = self._module.variables
        values = [
            self._backend.seed(seed) if node == SEED else self._value(node, of_values)
            for node in of_values.plan.values
        ]
        arguments = [value for entry in entries for value in entry.values]
        results = self._backend.call(function, [*arguments, *values])
        count = len(results) - len(of_values.plan.written)
        for node, value in zip(of_values.plan.written, results[count:], strict=True):
            variables[node].assign(value)
        return results[:count]

    def _value(self, node: str, of_values: FunctionOfValues) -> Any:
        value = private_keras.current_value(self._module.variables[node])
        # What is assigned after the call is not to change what its gradient is of.
        return self._backend.kept(value) if node in of_values.plan.written else value

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

        def run(*arguments: tf.Tensor) -> list[tf.Tensor]:
            remaining = iter(arguments)
            flat = [tensor for way in ways for tensor in way.enter(remaining)]
            inputs = dict(zip(names, flat, strict=True))
            values = [tf.cast(next(remaining), dtype) for dtype in dtypes]
            outputs, written = of_values(inputs, dict(zip(nodes, values, strict=True)).__getitem__)
            return [_carried(tensor, backend) for tensor in (*outputs, *written.values())]

        lacking = xla.lacking(xla.ops_of(of_values.plan.graph_def))
        for way in ways:
            lacking |= way.beyond_xla
        return PureFunction(run, lacking, endpoint.subject)

    def route(self) -> str:
        """By what way ordinary calls on arrays go, in words."""
        endpoint = self._inference
        of_values = self._module.runtime.function_of_values(
            endpoint.program, endpoint.call(training=False), seeded=True
        )
        lacking = xla.lacking(xla.ops_of(of_values.plan.graph_def))
        return self._backend.route(PureFunction(lambda: [], lacking, endpoint.subject))

    def _need_arrays(self, endpoint: Endpoint) -> None:
        """Checks that the framework can hold what a call returns.

        Raises:
            BackendError: it cannot.
        """
        for key in endpoint.outputs:
            info = endpoint.facts.outputs[key]
            if problem := self._problem(info):
                found, advice = problem
                raise BackendError(
                    f"Cannot return output {key!r} of a {endpoint.subject.kind} to "
                    f"{self._backend.title}.",
                    endpoint.subject,
                    expected="a dense output of numbers that it can hold",
                    found=found,
                    advice=advice,
                )

    def _problem(self, info: ParsedTensorInfo) -> tuple[str, str] | None:
        if not isinstance(info.type_spec, tf.TensorSpec):
            return str(info), "use hub.load(handle), which returns TensorFlow's tensors"
        if self._backend.carried(info.dtype) is None:
            return str(info), "use hub.load(handle), which returns TensorFlow's tensors"
        if advice := self._backend.loses(info.dtype):
            return f"{info}, of which it would lose digits", advice
        return None


def _carried(tensor: tf.Tensor, backend: Backend) -> tf.Tensor:
    dtype = backend.carried(tensor.dtype)
    assert dtype is not None
    return tf.cast(tensor, dtype)
