"""Functions of values, called on arrays of another framework than TensorFlow.

TensorFlow's part has no effects: inputs, values of variables and a seed are all that it
depends on. The framework's arrays go in and come out, and it differentiates the call; new
values of variables are told to Keras, which knows where they belong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from hub_keras_bridge.compat import keras as private_keras
from hub_keras_bridge.errors import BackendError, Subject
from hub_keras_bridge.facts.feeding import Slot
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.facts.text_bytes import TEXT_BYTES
from hub_keras_bridge.plans.of_values import SEED
from hub_keras_bridge.running import xla
from hub_keras_bridge.running.backends.backend import Backend
from hub_keras_bridge.running.backends.entering import Entry, Way
from hub_keras_bridge.running.backends.widths import narrowed, need_digits
from hub_keras_bridge.running.function_of_values import FunctionOfValues
from hub_keras_bridge.running.pure_function import PureFunction


class PureCalls:
    """Calls of the functions of one module or SavedModel.

    Args:
        backend: the framework.
        variables: what holds the values, by node.
        next_seed: gives what Keras's ``SeedGenerator`` has.
    """

    def __init__(
        self,
        backend: Backend,
        variables: Mapping[str, keras.Variable],
        next_seed: Callable[[], Any],
    ) -> None:
        self._backend = backend
        self._variables = variables
        self._next_seed = next_seed
        self._made: dict[Any, PureFunction] = {}

    def call(
        self,
        functions: Sequence[FunctionOfValues | None],
        inputs: Sequence[str],
        entries: Sequence[Entry],
        subject: Subject,
    ) -> list[list[Any]]:
        """What each plan fetches, as arrays; its variables' new values are told to Keras.

        Args:
            functions: of the plans; one seed is for all of them.
            inputs: the tensors that the entries feed, in order.
            entries: how values enter.
            subject: the call, for messages.

        Raises:
            BackendError: the framework traces the call, and a variable is to be assigned.
        """
        is_random = any(function and SEED in function.plan.values for function in functions)
        seed = self._seed(subject) if is_random else None
        return [
            self._fetched(function, inputs, entries, seed, subject) if function else []
            for function in functions
        ]

    def _fetched(
        self,
        function: FunctionOfValues,
        inputs: Sequence[str],
        entries: Sequence[Entry],
        seed: Any,
        subject: Subject,
    ) -> list[Any]:
        pure = self._function(function, inputs, [entry.way for entry in entries], subject)
        values = [
            seed if node == SEED else self._value(node, function) for node in function.plan.values
        ]
        arguments = [value for entry in entries for value in entry.values]
        results = self._backend.call(pure, [*arguments, *values])
        count = len(results) - len(function.plan.written)
        for node, value in zip(function.plan.written, results[count:], strict=True):
            self._need_value(self._backend.has_value(value), f"variable {node!r}", subject)
            self._variables[node].assign(value)
        return results[:count]

    def _value(self, node: str, function: FunctionOfValues) -> Any:
        value = private_keras.current_value(self._variables[node])
        # What is assigned after the call is not to change what its gradient is of.
        return self._backend.kept(value) if node in function.plan.written else value

    def _seed(self, subject: Subject) -> Any:
        self._need_value(not self._backend.is_tracing(), "the seed", subject)
        return self._backend.seed(self._next_seed())

    def _need_value(self, has_value: bool, what: str, subject: Subject) -> None:
        """Checks that no variable is to hold a value that is yet to come.

        Raises:
            BackendError: one is.
        """
        if has_value or private_keras.is_stateless():
            return
        raise BackendError(
            f"Cannot update {what} of a {subject.kind} in a function that "
            f"{self._backend.title} traces.",
            subject,
            expected="values that the function takes and returns",
            found="a call that would assign to the variable itself",
            advice="call stateless_call of the layer or the model there, which takes the values of "
            "variables and returns the new ones",
        )

    def _function(
        self,
        function: FunctionOfValues,
        inputs: Sequence[str],
        ways: Sequence[Way],
        subject: Subject,
    ) -> PureFunction:
        """What the framework calls for inputs that enter in some way."""
        key = (function, tuple(ways))
        if key not in self._made:
            self._made[key] = _pure_function(function, inputs, ways, self._backend, subject)
        return self._made[key]

    def route(
        self,
        function: FunctionOfValues,
        inputs: Sequence[str],
        slots: Sequence[Slot],
        subject: Subject,
    ) -> str:
        """By what way calls on arrays go, in words."""
        carried = self._backend.carried
        specs = [slot.spec_of_array(carried) for slot in slots]
        ways = [Way(slot, spec.dtype, 1) for slot, spec in zip(slots, specs, strict=True)]
        values = [
            tf.TensorSpec(spec.shape, carried(spec.dtype))
            for _, spec in function.specs[len(function.plan.inputs) :]
        ]
        pure = self._function(function, inputs, ways, subject)
        return self._backend.route(pure, [*specs, *values])

    def need_arrays(
        self,
        inputs: Mapping[str, ParsedTensorInfo],
        outputs: Mapping[str, ParsedTensorInfo],
        subject: Subject,
    ) -> None:
        """Checks that the framework can hold what a call takes and returns.

        Args:
            inputs: what is known of each.
            outputs: what is known of each.
            subject: the call, for messages.

        Raises:
            BackendError: it cannot.
        """
        backend = self._backend
        if tf.inside_function():
            raise BackendError(
                f"Cannot call a ModuleLayer in a function of TensorFlow: Keras computes with "
                f"{backend.title}.",
                subject,
                expected=f"arrays of {backend.title} or NumPy, or tensors with values",
                found="a call in tf.function or tf.data.Dataset.map",
                advice="use hub.load(handle) there, which is TensorFlow's; or map over batches in "
                "Python",
            )
        for key, info in outputs.items():
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
        for name, info in inputs.items():
            need_digits(f"input {name!r}", info.dtype, backend, subject)


def new_seeds() -> keras.random.SeedGenerator:
    """What a layer holds for its calls to take seeds from."""
    # By its own name, Keras would count all that a process ever makes.
    return keras.random.SeedGenerator(name="seeds")


def symbol_dtype(dtype: tf.DType) -> tf.DType:
    """The dtype of what Keras makes an input for: of text that of its bytes."""
    return TEXT_BYTES if dtype == tf.string else dtype


def _pure_function(
    function: FunctionOfValues,
    inputs: Sequence[str],
    ways: Sequence[Way],
    backend: Backend,
    subject: Subject,
) -> PureFunction:
    nodes = list(function.plan.values)
    dtypes = [spec.dtype for _, spec in function.specs[len(function.plan.inputs) :]]
    written_names = [f"variable {node!r}" for node in function.plan.written]

    def run(*arguments: tf.Tensor) -> list[tf.Tensor]:
        remaining = iter(arguments)
        flat = [tensor for way in ways for tensor in way.enter(remaining)]
        values = [_cast(next(remaining), dtype) for dtype in dtypes]
        value_of = dict(zip(nodes, values, strict=True)).__getitem__
        outputs, written = function(dict(zip(inputs, flat, strict=True)), value_of)
        return [
            *(narrowed(tensor, "an output", backend, subject) for tensor in outputs),
            *(
                narrowed(tensor, what, backend, subject)
                for what, tensor in zip(written_names, written.values(), strict=True)
            ),
        ]

    return PureFunction(run, xla.lacking(xla.ops_of(function.plan.graph_def)), subject)


def _cast(tensor: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    # TensorFlow takes its time to see that there is nothing to do.
    return tensor if tensor.dtype == dtype else tf.cast(tensor, dtype)
