"""Calls from PyTorch: TensorFlow runs at once."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import torch

from hub_keras_bridge.compat import keras as private_keras
from hub_keras_bridge.running.backends.backend import Backend
from hub_keras_bridge.running.backends.between_torch import arrays, from_numpy
from hub_keras_bridge.running.backends.taped_for_torch import call
from hub_keras_bridge.running.pure_function import PureFunction


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
        """The dtype itself, if PyTorch has it; quantized numbers are others there."""
        is_number = dtype.is_floating or dtype.is_integer or dtype.is_bool or dtype.is_complex
        has_it = isinstance(getattr(torch, dtype.name, None), torch.dtype)
        return dtype if is_number and has_it else None

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
        return keras.ops.convert_to_tensor(from_numpy(np.asarray(values), copied))

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
        if any(a.is_meta for a in arrays(arguments)):
            specs = [self._any_spec(a) for a in arguments]
            return [
                torch.empty(tuple(s.shape), dtype=getattr(torch, s.dtype.name), device="meta")
                for s in function.result_specs(specs, function.traced_for(specs))
            ]
        return call(function, arguments)

    def _any_spec(self, argument: Any) -> tf.TensorSpec:
        if isinstance(argument, torch.Tensor):
            return self.spec(argument)
        return tf.TensorSpec(argument.shape, argument.dtype)
