"""Tensors of PyTorch as TensorFlow's, and back again.

Memory is shared on the way in alone. What TensorFlow reads, PyTorch watches: to change a
tensor between the call and its gradient is PyTorch's own error. What TensorFlow returns, it
may still hold, as a constant or for the gradient, and people change tensors in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import torch

from hub_keras_bridge.errors import BackendError, Subject

# TensorFlow ends the process over memory that begins elsewhere.
_ALIGNMENT = 64

_OUTSIDE = (
    "call the layer outside of torch.jit, torch.export and torch.func, and ask for gradients "
    "without is_grads_batched=True or vectorize=True"
)


def arrays(arguments: Iterable[Any]) -> Iterator[torch.Tensor]:
    """Those of some arguments that are PyTorch's."""
    return (argument for argument in arguments if isinstance(argument, torch.Tensor))


def need_values(arguments: Iterable[Any], subject: Subject) -> None:
    """Checks that arrays have numbers in memory, and that these are all that is asked for.

    Raises:
        BackendError: PyTorch traces the call, or transforms it, or one is sparse.
    """
    for array in arrays(arguments):
        if array.layout != torch.strided:
            found, advice = f"a tensor of layout {array.layout}", "pass x.to_dense()"
        elif torch.jit.is_tracing() or torch.compiler.is_compiling() or not _has_memory(array):
            found = "a tensor of a function that PyTorch traces or transforms"
            advice = _OUTSIDE
        else:
            continue
        raise BackendError(
            f"Cannot call a {subject.kind} on a tensor of PyTorch that TensorFlow cannot read.",
            subject,
            expected="a dense tensor with values",
            found=found,
            advice=advice,
        )


def _has_memory(array: torch.Tensor) -> bool:
    try:
        return bool(array.data_ptr()) or not array.numel()
    except RuntimeError:
        return False


def tensor(argument: Any) -> tf.Tensor:
    """An array as TensorFlow's tensor, in the same memory where it can read that."""
    if not isinstance(argument, torch.Tensor):
        return argument
    held = argument.detach().cpu()
    if held.is_complex() or held.is_neg():
        held = held.resolve_conj().resolve_neg()
    if not held.is_contiguous() or held.data_ptr() % _ALIGNMENT:
        held = held.clone(memory_format=torch.contiguous_format)
    return tf.experimental.dlpack.from_dlpack(torch.utils.dlpack.to_dlpack(held))


def array_of(result: tf.Tensor, device: torch.device) -> torch.Tensor:
    """A copy of TensorFlow's tensor, on a device."""
    return from_numpy(np.asarray(result.numpy())).to(device)


def from_numpy(
    values: np.ndarray, convert: Callable[[np.ndarray], torch.Tensor] = torch.from_numpy
) -> torch.Tensor:
    """An array of NumPy's, in the same memory or converted in another way."""
    if values.dtype == tf.bfloat16.as_numpy_dtype:  # PyTorch knows it, but not from NumPy.
        return convert(values.view(np.int16)).view(torch.bfloat16)
    return convert(values)
