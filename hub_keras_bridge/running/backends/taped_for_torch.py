"""A call of TensorFlow's with a gradient that PyTorch asks for.

A tape gives it, once, and goes. Who asks again, or for a gradient of the gradient, gets it from
the function that computes it: that is pure, so what it computes again is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
import torch

from hub_keras_bridge.errors import BackendError, TrainingError
from hub_keras_bridge.running.backends.between_torch import array_of, arrays, need_values, tensor
from hub_keras_bridge.running.pure_function import PureFunction, differentiating


def call(function: PureFunction, arguments: Sequence[Any]) -> list[torch.Tensor]:
    """Calls a function on tensors of either kind, by PyTorch's rules for gradients.

    Raises:
        BackendError: a tensor has no values that TensorFlow can read.
    """
    need_values(arguments, function.subject)
    return list(_Call.apply(function, torch.is_grad_enabled(), *arguments))


class _Call(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, function: PureFunction, enabled: bool, *arguments: Any
    ) -> tuple[torch.Tensor, ...]:
        ctx.function = function
        tensors = [tensor(argument) for argument in arguments]
        ctx.wanted = [enabled and needed for needed in ctx.needs_input_grad[2:]]
        ctx.watched = [t for t, want in zip(tensors, ctx.wanted, strict=True) if want]
        ctx.tape, ctx.results = _taped(function, tensors, ctx.watched)
        ctx.others = [None if isinstance(a, torch.Tensor) else a for a in arguments]
        # By this PyTorch notices a change of what TensorFlow reads.
        ctx.save_for_backward(*arrays(arguments))
        ctx.set_materialize_grads(False)
        returned = tuple(array_of(result, device_of(arguments)) for result in ctx.results)
        ctx.mark_non_differentiable(*(r for r in returned if not _is_differentiable(r)))
        return returned

    @staticmethod
    def jvp(ctx: Any, *_: Any) -> None:
        raise BackendError(
            f"Cannot differentiate a {ctx.function.subject.kind} in forward mode.",
            ctx.function.subject,
            expected="gradients from back to front, such as y.backward() asks for",
            found="a dual tensor of torch.autograd.forward_ad",
            advice="use torch.autograd.grad or torch.autograd.functional.jacobian",
        )

    @staticmethod
    def backward(ctx: Any, *above: torch.Tensor | None) -> tuple[Any, ...]:
        saved = iter(ctx.saved_tensors)
        arguments = [next(saved) if other is None else other for other in ctx.others]
        given = [gradient is not None for gradient in above]
        present = [gradient for gradient in above if gradient is not None]
        if torch.is_grad_enabled() or ctx.tape is None:
            found = iter(call(ctx.function.gradient(ctx.wanted, given), [*arguments, *present]))
            return (None, None, *(next(found) if want else None for want in ctx.wanted))
        need_values(present, ctx.function.subject)
        sources = [r for r, has in zip(ctx.results, given, strict=True) if has]
        with differentiating(ctx.function.subject):
            targets = iter(ctx.tape.gradient(sources, ctx.watched, list(map(tensor, present))))
        # What they hold goes now, not with the last tensor that came of the call.
        ctx.tape = ctx.watched = ctx.results = None
        return (
            None,
            None,
            *(
                _gradient(next(targets), argument) if want else None
                for argument, want in zip(arguments, ctx.wanted, strict=True)
            ),
        )


def _taped(
    function: PureFunction, tensors: Sequence[tf.Tensor], watched: Sequence[tf.Tensor]
) -> tuple[tf.GradientTape | None, list[tf.Tensor]]:
    """The results, and what gives the gradient; None if there is none."""
    if not watched:
        return None, function.run(*tensors)
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


def _is_differentiable(array: torch.Tensor) -> bool:
    return bool(array.is_floating_point() or array.is_complex())


def device_of(arguments: Sequence[Any]) -> torch.device:
    """Where results belong: with the weights, if there are any, else with the inputs."""
    weights = (array for array in arrays(arguments) if isinstance(array, torch.nn.Parameter))
    first = next(weights, next(arrays(arguments), None))
    return keras.ops.convert_to_tensor(0).device if first is None else first.device


def _gradient(found: Any, argument: torch.Tensor) -> torch.Tensor | None:
    # A gradient by rows becomes a dense one.
    return None if found is None else array_of(tf.convert_to_tensor(found), argument.device)
