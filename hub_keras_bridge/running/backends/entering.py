"""How a value enters a function that another framework calls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

from hub_keras_bridge.facts.feeding import Slot
from hub_keras_bridge.facts.text_bytes import text_to_bytes
from hub_keras_bridge.running.backends.backend import Backend


@dataclass(frozen=True)
class Way:
    """What becomes of arguments inside of the function, so that they feed an input.

    Attributes:
        slot: the input.
        dtype: of the array that comes in; None where the tensors of the input come in.
        count: of the arguments.
    """

    slot: Slot
    dtype: tf.DType | None
    count: int

    def enter(self, arguments: Iterator[tf.Tensor]) -> list[tf.Tensor]:
        """The tensors of the input.

        Args:
            arguments: from which it takes its own.
        """
        taken = [next(arguments) for _ in range(self.count)]
        return taken if self.dtype is None else self.slot.tensors(taken[0])


@dataclass(frozen=True)
class Entry:
    """A value that is to enter.

    Attributes:
        way: how.
        values: the arguments: an array of the framework, or tensors of TensorFlow.
    """

    way: Way
    values: tuple[Any, ...] = field(compare=False)


def array_of(value: Any, slot: Slot, backend: Backend) -> Any:
    """A value as an array, so that it may be beside others in a nest.

    Args:
        value: what :func:`entry_of` takes.
        slot: the input.
        backend: the framework.

    Returns:
        The array, of text that of its bytes; the value where no array holds it.

    Raises:
        InputError: it does not fit.
    """
    if backend.is_array(value) or isinstance(value, keras.KerasTensor):
        return value
    tensors = slot.tensors(value)
    if len(tensors) > 1:
        return value
    tensor = text_to_bytes(tensors[0]) if tensors[0].dtype == tf.string else tensors[0]
    return value if backend.carried(tensor.dtype) is None else backend.array(tensor)


def entry_of(value: Any, slot: Slot, backend: Backend) -> Entry:
    """How a value enters.

    Args:
        value: an array of the framework, or what :meth:`Slot.tensors` takes.
        slot: the input.
        backend: the framework.

    Raises:
        InputError: it does not fit.
    """
    if not backend.is_array(value):
        tensors = slot.tensors(value)
        # Text and what has several tensors stays TensorFlow's: it has no gradient.
        if len(tensors) > 1 or backend.carried(tensors[0].dtype) != tensors[0].dtype:
            return Entry(Way(slot, None, len(tensors)), tuple(tensors))
        value = backend.array(tensors[0])
    spec = backend.spec(value)
    # Where values decide whether they fit, the graph looks at them.
    slot.check_symbol(spec.shape, spec.dtype)
    return Entry(Way(slot, spec.dtype, 1), (value,))
