"""What is asked of a framework other than TensorFlow that Keras computes with."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from hub_keras_bridge.running.pure_function import PureFunction


class Backend(abc.ABC):
    """A framework with arrays of its own, and gradients of its own.

    Attributes:
        name: as Keras has it.
        title: as people write it.
        compiles: whether Keras may have a model compiled in which there are calls.
    """

    name: str
    title: str
    compiles: bool = True

    @abc.abstractmethod
    def is_array(self, value: Any) -> bool:
        """Whether a value is one of the framework's arrays, with or without values yet."""

    def has_value(self, array: Any) -> bool:  # noqa: ARG002
        """Whether an array is none that stands for values to come."""
        return True

    def is_tracing(self) -> bool:
        """Whether what is computed now are values to come."""
        return False

    @abc.abstractmethod
    def spec(self, array: Any) -> tf.TensorSpec:
        """Shape and dtype of an array."""

    @abc.abstractmethod
    def carried(self, dtype: tf.DType) -> tf.DType | None:
        """The dtype in which arrays hold numbers of a dtype; None if they hold none of it."""

    @abc.abstractmethod
    def loses(self, dtype: tf.DType) -> str | None:
        """What to do so that arrays hold all numbers of a dtype; None if they do."""

    @abc.abstractmethod
    def array(self, values: tf.Tensor | np.ndarray) -> Any:
        """Values as an array, in the dtype in which arrays carry it, and memory of its own."""

    def weight_name(self, node: str) -> str:
        """A variable's name as Keras takes it for a weight, without slashes."""
        return node.replace("/", ".")

    def kept(self, array: Any) -> Any:
        """An array with the values of now, whatever its variable is assigned later."""
        return array

    @abc.abstractmethod
    def seed(self, seed: Any) -> Any:
        """What Keras's ``SeedGenerator`` gave, as an array of two int32."""

    @abc.abstractmethod
    def call(self, function: PureFunction, arguments: Sequence[Any]) -> list[Any]:
        """Calls a function on arrays; the framework differentiates the call.

        Args:
            function: what to call.
            arguments: arrays; or tensors of TensorFlow, where these hold what arrays cannot.

        Returns:
            Arrays.
        """

    @abc.abstractmethod
    def route(self, function: PureFunction, specs: Sequence[tf.TensorSpec]) -> str:
        """By what way calls of a function go, in words.

        Args:
            function: what is called.
            specs: of its arguments, as far as they are known.
        """

    def at_once(self) -> contextlib.AbstractContextManager[Any]:
        """In it, arrays that are made have values, whatever is being traced around it."""
        return contextlib.nullcontext()
