"""Gradients that a SavedModel has of its own (``tf.custom_gradient``), in copies of its functions.

TensorFlow restores such a gradient as a function that captures tensors of the one function
that it restored beside it. No public name tells of either, nor lets tensors of a copy take
their places.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import ops
from tensorflow.python.saved_model import function_deserialization


def know_gradients(operations: Iterable[tf.Operation]) -> None:
    """Lets ops of a copy be differentiated as those of the function that was restored.

    Args:
        operations: of the copy. It has the arguments of the other in their order, and
            nodes of the same names.
    """
    for op in operations:
        if (gradient := _restored(op)) is not None:
            op._gradient_function = _gradient_of_copy(gradient)  # noqa: SLF001


def _restored(op: tf.Operation) -> Any:
    """The function that TensorFlow restored for the gradient that an op names, if any."""
    name = op.node_def.attr["_gradient_op_type"].s.decode("utf-8", "replace")
    if not name:
        return None
    try:
        registered = ops.gradient_registry.lookup(name)
    except LookupError:
        return None
    if getattr(registered, "__module__", "") != function_deserialization.__name__:
        return None
    cells = dict(zip(registered.__code__.co_freevars, registered.__closure__ or (), strict=True))
    return cells["func"].cell_contents if "func" in cells else None


def _gradient_of_copy(gradient: Any) -> Any:
    def differentiate(op: tf.Operation, *above: tf.Tensor | None) -> Any:
        given = [
            tf.zeros_like(result) if each is None else each
            for each, result in zip(above, op.outputs, strict=True)
        ]
        captured = [_in_copy(tensor, op) for tensor in gradient.captured_inputs]
        return gradient._call_flat(given, captured)  # noqa: SLF001

    return differentiate


def _in_copy(tensor: Any, op: tf.Operation) -> Any:
    """What a captured tensor is in the copy that an op is of."""
    if not hasattr(tensor, "graph"):
        return tensor  # It has a value.
    source, copy = tensor.graph, op.graph
    names = {each.name for each in source.get_operations()}
    found = None
    if op.name in names:
        places = [each is tensor for each in source.inputs]
        if any(places):
            found = copy.inputs[places.index(True)]
        elif tensor.op.name in {each.name for each in copy.get_operations()}:
            found = copy.get_tensor_by_name(tensor.name)
    if found is None or found.dtype != tensor.dtype:
        raise LookupError(
            f"The gradient of {op.name!r} needs {tensor.name!r}, which is not there any more."
        )
    return found
