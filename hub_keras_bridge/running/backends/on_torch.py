"""Calls from PyTorch: TensorFlow runs at once, and a tape of its own gives the gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import torch
from torch.autograd.function import once_differentiable

from hub_keras_bridge.running.backends.backend import Backend
from hub_keras_bridge.running.pure_function import PureFunction


class Torch(Backend):
    """PyTorch."""

    name = "torch"
    title = "PyTorch"

    def is_array(self, value: Any) -> bool:
        """Whether it is a ``torch.Tensor``."""
        return isinstance(value, torch.Tensor)

    def spec(self, array: torch.Tensor) -> tf.TensorSpec:
        """Shape and dtype."""
        return tf.TensorSpec(tuple(array.shape), str(array.dtype).removeprefix("torch."))

    def carried(self, dtype: tf.DType) -> tf.DType | None:
        """The dtype itself, if PyTorch has it."""
        kind = getattr(torch, dtype.name, None)
        return dtype if isinstance(kind, torch.dtype) else None

    def loses(self, dtype: tf.DType) -> str | None:  # noqa: ARG002
        """Nothing."""
        return None

    def array(self, tensor: tf.Tensor) -> torch.Tensor:
        """A copy, where Keras has its tensors."""
        import keras

        return keras.ops.convert_to_tensor(tensor.numpy())

    def seed(self, seed: torch.Tensor) -> torch.Tensor:
        """Two numbers, as they are."""
        return seed.to(torch.int32)

    def route(self, function: PureFunction, specs: Sequence[tf.TensorSpec]) -> str:  # noqa: ARG002
        """TensorFlow runs it."""
        return "TensorFlow, through torch.autograd.Function"

    def call(self, function: PureFunction, arguments: Sequence[Any]) -> list[Any]:
        """As the base class has it."""
        return list(_Call.apply(function, *arguments))


class _Call(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, function: PureFunction, *arguments: Any) -> Any:
        wanted = ctx.needs_input_grad[1:]
        tensors = [_tensor(each) for each in arguments]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            watched = [t for t, want in zip(tensors, wanted, strict=True) if want]
            tape.watch(watched)
            results = function.run(*tensors)
        ctx.tape, ctx.watched, ctx.results, ctx.wanted = tape, watched, results, wanted
        returned = tuple(torch.from_numpy(np.array(result.numpy())) for result in results)
        ctx.mark_non_differentiable(*(r for r in returned if not r.is_floating_point()))
        return returned

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Any) -> Any:
        given = [
            (result, _tensor(gradient))
            for result, gradient in zip(ctx.results, gradients, strict=True)
            if result.dtype.is_floating
        ]
        found = iter(
            ctx.tape.gradient(
                [result for result, _ in given],
                ctx.watched,
                [gradient for _, gradient in given],
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
        )
        return (
            None,
            *(
                torch.from_numpy(np.array(tf.convert_to_tensor(next(found)))) if want else None
                for want in ctx.wanted
            ),
        )


def _tensor(value: Any) -> tf.Tensor:
    return tf.constant(value.detach().cpu().numpy()) if isinstance(value, torch.Tensor) else value
