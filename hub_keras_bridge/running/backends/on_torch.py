"""Calls from PyTorch: TensorFlow runs at once, and a tape of its own gives the gradient.

Memory is shared on the way in alone. What TensorFlow reads, PyTorch watches: to change a
tensor between the call and its gradient is PyTorch's own error. What TensorFlow returns, it
may still hold, as a constant or for the gradient, and people change tensors in place.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import torch

from hub_keras_bridge.compat import keras as private_keras
from hub_keras_bridge.errors import BackendError, Subject, TrainingError
from hub_keras_bridge.running.backends.backend import Backend
from hub_keras_bridge.running.pure_function import PureFunction, differentiating

# TensorFlow ends the process over memory that begins elsewhere.
_ALIGNMENT = 64


class Torch(Backend):
    """PyTorch."""

    name = "torch"
    title = "PyTorch"
    compiles = False

    def is_array(self, value: Any) -> bool:
        """Whether it is a ``torch.Tensor``."""
        return isinstance(value, torch.Tensor)

    def spec(self, array: torch.Tensor) -> tf.TensorSpec:
        """Shape and dtype."""
        return tf.TensorSpec(tuple(array.shape), str(array.dtype).removeprefix("torch."))

    def carried(self, dtype: tf.DType) -> tf.DType | None:
        """The dtype itself, if PyTorch has it."""
        return dtype if isinstance(getattr(torch, dtype.name, None), torch.dtype) else None

    def loses(self, dtype: tf.DType) -> str | None:  # noqa: ARG002
        """Nothing."""
        return None

    def weight_name(self, node: str) -> str:
        """Without dots, too: a ``torch.nn.Module`` takes none in the name of a parameter.

        TF1 names have neither bars nor colons.
        """
        return node.replace("/", "|").replace(".", ":")

    def array(self, values: tf.Tensor | np.ndarray) -> torch.Tensor:
        """A copy, where Keras has its tensors; PyTorch's own memory is aligned."""
        copied = functools.partial(torch.tensor, device="cpu")
        return keras.ops.convert_to_tensor(_from_numpy(np.asarray(values), copied))

    def kept(self, array: torch.Tensor) -> torch.Tensor:
        """A copy: variables change in place."""
        return array.clone()

    def seed(self, seed: torch.Tensor) -> torch.Tensor:
        """Two numbers, as they are."""
        return seed.to(torch.int32)

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Tensors of an inference mode could not be trained later."""
        with private_keras.device_with_values(), torch.inference_mode(False):
            yield

    def route(self, function: PureFunction, specs: Sequence[tf.TensorSpec]) -> str:  # noqa: ARG002
        """TensorFlow runs it."""
        return "TensorFlow, through torch.autograd.Function"

    def call(self, function: PureFunction, arguments: Sequence[Any]) -> list[Any]:
        """As the base class has it; on the device "meta", shapes alone."""
        if any(a.is_meta for a in _arrays(arguments)):
            specs = [self._any_spec(a) for a in arguments]
            return [
                torch.empty(tuple(s.shape), dtype=getattr(torch, s.dtype.name), device="meta")
                for s in function.result_specs(specs, function.traced_for(specs))
            ]
        return _call(function, arguments)

    def _any_spec(self, argument: Any) -> tf.TensorSpec:
        if isinstance(argument, torch.Tensor):
            return self.spec(argument)
        return tf.TensorSpec(argument.shape, argument.dtype)


def _call(function: PureFunction, arguments: Sequence[Any]) -> list[torch.Tensor]:
    arrays = list(_arrays(arguments))
    for array in arrays:
        _need_values(array, function.subject)
    if torch.is_grad_enabled() and any(array.requires_grad for array in arrays):
        return list(_Differentiable.apply(function, *arguments))
    results = function.run(*map(_tensor, arguments))
    return [_array(result, _device(arguments)) for result in results]


class _Differentiable(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, function: PureFunction, *arguments: Any) -> tuple[torch.Tensor, ...]:
        ctx.wanted = ctx.needs_input_grad[1:]
        tensors = [_tensor(argument) for argument in arguments]
        ctx.watched = [t for t, want in zip(tensors, ctx.wanted, strict=True) if want]
        ctx.tape, ctx.results = _taped(function, tensors, ctx.watched)
        ctx.function = function
        ctx.others = [None if isinstance(a, torch.Tensor) else a for a in arguments]
        # By this PyTorch notices a change of what TensorFlow reads.
        ctx.save_for_backward(*_arrays(arguments))
        ctx.set_materialize_grads(False)
        returned = tuple(_array(result, _device(arguments)) for result in ctx.results)
        ctx.mark_non_differentiable(*(r for r in returned if not _is_differentiable(r)))
        return returned

    @staticmethod
    def backward(ctx: Any, *above: torch.Tensor | None) -> tuple[Any, ...]:
        saved = iter(ctx.saved_tensors)
        arguments = [next(saved) if other is None else other for other in ctx.others]
        given = [gradient is not None for gradient in above]
        present = [gradient for gradient in above if gradient is not None]
        if torch.is_grad_enabled() or ctx.tape is None:
            # The gradient is to have a gradient, or is asked for once more. The function
            # is pure: what it computes again is the same.
            found = iter(_call(ctx.function.gradient(ctx.wanted, given), [*arguments, *present]))
            return (None, *(next(found) if want else None for want in ctx.wanted))
        sources = [r for r, has in zip(ctx.results, given, strict=True) if has]
        with differentiating(ctx.function.subject):
            targets = iter(ctx.tape.gradient(sources, ctx.watched, list(map(_tensor, present))))
        # What they hold goes now, not with the last tensor that came of the call.
        ctx.tape = ctx.watched = ctx.results = None
        return (
            None,
            *(
                _gradient(next(targets), argument) if want else None
                for argument, want in zip(arguments, ctx.wanted, strict=True)
            ),
        )


def _taped(
    function: PureFunction, tensors: Sequence[tf.Tensor], watched: Sequence[tf.Tensor]
) -> tuple[tf.GradientTape | None, list[tf.Tensor]]:
    """The results, and what gives the gradient; None if the function has none."""
    try:
        with (
            tf.GradientTape(watch_accessed_variables=False) as tape,
            differentiating(function.subject),
        ):
            tape.watch(watched)
            return tape, function.run(*tensors)
    except TrainingError:
        # Who asks for it is told, and not who calls a layer that might be trained.
        return None, function.run(*tensors)


def _arrays(arguments: Iterable[Any]) -> Iterator[torch.Tensor]:
    return (argument for argument in arguments if isinstance(argument, torch.Tensor))


def _is_differentiable(array: torch.Tensor) -> bool:
    return bool(array.is_floating_point() or array.is_complex())


def _device(arguments: Sequence[Any]) -> torch.device:
    """Where results belong: with the weights, if there are any, else with the inputs."""
    arrays = list(_arrays(arguments))
    weights = (array for array in arrays if isinstance(array, torch.nn.Parameter))
    first = next(weights, arrays[0] if arrays else None)
    return keras.ops.convert_to_tensor(0).device if first is None else first.device


def _need_values(array: torch.Tensor, subject: Subject) -> None:
    """Checks that an array has numbers in memory, and that these are all that is asked for.

    Raises:
        BackendError: PyTorch traces the call, or transforms it, or the array is sparse.
    """
    found = None
    if array.layout != torch.strided:
        found, advice = f"a tensor of layout {array.layout}", "pass x.to_dense()"
    elif torch.jit.is_tracing() or torch.compiler.is_compiling() or not _has_memory(array):
        found = "a tensor of a function that PyTorch traces or transforms"
        advice = "call the layer outside of torch.jit, torch.export and torch.func"
    if found:
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


def _tensor(argument: Any) -> tf.Tensor:
    """An array as TensorFlow's tensor, in the same memory where it can read that."""
    if not isinstance(argument, torch.Tensor):
        return argument
    held = argument.detach().cpu()
    if held.is_complex() or held.is_neg():
        held = held.resolve_conj().resolve_neg()
    if not held.is_contiguous() or held.data_ptr() % _ALIGNMENT:
        held = held.clone(memory_format=torch.contiguous_format)
    return tf.experimental.dlpack.from_dlpack(torch.utils.dlpack.to_dlpack(held))


def _array(tensor: tf.Tensor, device: torch.device) -> torch.Tensor:
    """A copy of TensorFlow's tensor, on a device."""
    return _from_numpy(np.asarray(tensor.numpy())).to(device)


def _from_numpy(
    values: np.ndarray, convert: Callable[[np.ndarray], torch.Tensor] = torch.from_numpy
) -> torch.Tensor:
    if values.dtype == tf.bfloat16.as_numpy_dtype:  # PyTorch knows it, but not from NumPy.
        return convert(values.view(np.int16)).view(torch.bfloat16)
    return convert(values)


def _gradient(found: Any, argument: torch.Tensor) -> torch.Tensor | None:
    # A gradient by rows becomes a dense one.
    return None if found is None else _array(tf.convert_to_tensor(found), argument.device)
