"""The framework that Keras computes with, if it is not TensorFlow."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar

import keras

from hub_keras_bridge.errors import BackendError
from hub_keras_bridge.running.backends.backend import Backend

_Function = TypeVar("_Function", bound=Callable[..., object])


def current() -> Backend | None:
    """The backend; None where that is TensorFlow. The framework is imported when it is asked for.

    Raises:
        BackendError: Keras computes with something else again.
    """
    return _named(keras.backend.backend())


@functools.cache
def _named(name: str) -> Backend | None:
    if name == "tensorflow":
        return None
    if name == "jax":
        from hub_keras_bridge.running.backends.on_jax import Jax

        return Jax()
    if name == "torch":
        from hub_keras_bridge.running.backends.on_torch import Torch

        return Torch()
    raise BackendError(
        "Cannot make a ModuleLayer: it does not know the framework that Keras computes with.",
        expected="Keras on TensorFlow, JAX or PyTorch",
        found=f"Keras on {name}",
        advice="set the environment variable KERAS_BACKEND to tensorflow, jax or torch before "
        "importing keras",
    )


def never_compiled(function: _Function) -> _Function:
    """A function that PyTorch's compiler leaves alone; it would look into TensorFlow."""
    if keras.backend.backend() != "torch":
        return function
    import torch

    return torch.compiler.disable(function, reason="TensorFlow runs it")
