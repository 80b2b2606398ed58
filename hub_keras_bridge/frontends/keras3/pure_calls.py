"""Functions of values, called on arrays of another framework than TensorFlow.

TensorFlow's part has no effects: inputs, values of variables and a seed are all that it
depends on. The framework's arrays go in and come out, and it differentiates the call; new
values of variables are told to Keras, which knows where they belong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from hub_keras_bridge.compat import keras as private_keras
from hub_keras_bridge.errors import BackendError, Subject
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.facts.text_bytes import TEXT_BYTES
from hub_keras_bridge.plans.of_values import SEED
from hub_keras_bridge.running import xla
from hub_keras_bridge.running.backends.backend import Backend
from hub_keras_bridge.running.backends.entering import Entry
from hub_keras_bridge.running.function_of_values import FunctionOfValues
from hub_keras_bridge.running.pure_function import PureFunction


class PureCalls:
    """Calls of the functions of one module.

    Args:
        backend: the framework.
        variables: what holds the values, by node.
    """

    def __init__(self, backend: Backend, variables: Mapping[str, keras.Variable]) -> None:
        self._backend = backend
        self._variables = variables
        self._made: dict[Any, PureFunction] = {}

    def call(
        self,
        function: FunctionOfValues,
        inputs: Sequence[str],
        entries: Sequence[Entry],
        seed: Any,
        subject: Subject,
    ) -> list[Any]:
        """What a plan fetches, as arrays; its variables' new values are told to Keras.

        Args:
            function: of the plan.
            inputs: the tensors that the entries feed, in order.
            entries: how values enter.
            seed: what Keras's ``SeedGenerator`` gave; None for a plan without random ops.
            subject: the call, for messages.
        """
        key = (function, tuple(entry.way for entry in entries))
        if key not in self._made:
            self._made[key] = self._make(function, inputs, entries, subject)
        values = [
            self._backend.seed(seed) if node == SEED else self._value(node, function)
            for node in function.plan.values
        ]
        arguments = [value for entry in entries for value in entry.values]
        results = self._backend.call(self._made[key], [*arguments, *values])
        count = len(results) - len(function.plan.written)
        for node, value in zip(function.plan.written, results[count:], strict=True):
            self._variables[node].assign(value)
        return results[:count]

    def _value(self, node: str, function: FunctionOfValues) -> Any:
        value = private_keras.current_value(self._variables[node])
        # What is assigned after the call is not to change what its gradient is of.
        return self._backend.kept(value) if node in function.plan.written else value

    def _make(
        self,
        function: FunctionOfValues,
        inputs: Sequence[str],
        entries: Sequence[Entry],
        subject: Subject,
    ) -> PureFunction:
        """What the framework calls for inputs that enter in some way."""
        backend = self._backend
        ways = [entry.way for entry in entries]
        nodes = list(function.plan.values)
        dtypes = [spec.dtype for _, spec in function.specs[len(function.plan.inputs) :]]

        def run(*arguments: tf.Tensor) -> list[tf.Tensor]:
            remaining = iter(arguments)
            flat = [tensor for way in ways for tensor in way.enter(remaining)]
            values = [tf.cast(next(remaining), dtype) for dtype in dtypes]
            value_of = dict(zip(nodes, values, strict=True)).__getitem__
            outputs, written = function(dict(zip(inputs, flat, strict=True)), value_of)
            return [_carried(tensor, backend) for tensor in (*outputs, *written.values())]

        lacking = xla.lacking(xla.ops_of(function.plan.graph_def))
        for way in ways:
            lacking |= way.beyond_xla
        return PureFunction(run, lacking, subject)

    def route(self, function: FunctionOfValues, subject: Subject) -> str:
        """By what way calls on arrays go, in words."""
        lacking = xla.lacking(xla.ops_of(function.plan.graph_def))
        return self._backend.route(PureFunction(lambda: [], lacking, subject))

    def need_array(self, key: str, info: ParsedTensorInfo, subject: Subject) -> None:
        """Checks that the framework can hold an output.

        Args:
            key: its name.
            info: what is known of it.
            subject: the call, for messages.

        Raises:
            BackendError: it cannot.
        """
        if problem := self._problem(info):
            found, advice = problem
            raise BackendError(
                f"Cannot return output {key!r} of a {subject.kind} to {self._backend.title}.",
                subject,
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


def symbol_dtype(dtype: tf.DType) -> tf.DType:
    """The dtype of what Keras makes an input for: of text that of its bytes."""
    return TEXT_BYTES if dtype == tf.string else dtype


def _carried(tensor: tf.Tensor, backend: Backend) -> tf.Tensor:
    dtype = backend.carried(tensor.dtype)
    assert dtype is not None
    return tf.cast(tensor, dtype)
