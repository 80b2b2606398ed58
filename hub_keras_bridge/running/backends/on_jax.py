"""Calls from JAX: the graph becomes a part of the program, or the program calls TensorFlow."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tensorflow as tf
from jax.custom_derivatives import SymbolicZero

from hub_keras_bridge.running.backends import staged_by_jax
from hub_keras_bridge.running.backends.backend import Backend
from hub_keras_bridge.running.backends.between_jax import from_tensorflow, to_tensorflow
from hub_keras_bridge.running.pure_function import PureFunction


class Jax(Backend):
    """JAX."""

    name = "jax"
    title = "JAX"

    def is_array(self, value: Any) -> bool:
        """Whether it is a ``jax.Array``, a traced one included."""
        return isinstance(value, jax.Array)

    def has_value(self, array: jax.Array) -> bool:
        """Whether it is none that JAX traces."""
        return not isinstance(array, jax.core.Tracer)

    def is_tracing(self) -> bool:
        """Whether it is in ``jax.jit`` or alike."""
        return isinstance(jnp.zeros(()), jax.core.Tracer)

    def spec(self, array: jax.Array) -> tf.TensorSpec:
        """Shape and dtype; a size that ``jax.export`` leaves open is unknown."""
        shape = [size if isinstance(size, int) else None for size in array.shape]
        return tf.TensorSpec(shape, tf.as_dtype(array.dtype))

    def carried(self, dtype: tf.DType) -> tf.DType | None:
        """The dtype, or the narrower one that JAX has unless it is told of 64 bits."""
        if not (dtype.is_floating or dtype.is_integer or dtype.is_bool or dtype.is_complex):
            return None
        return tf.as_dtype(jax.dtypes.canonicalize_dtype(dtype.as_numpy_dtype))

    def loses(self, dtype: tf.DType) -> str | None:
        """Half of the bits, unless JAX is told of 64."""
        if self.carried(dtype) in (None, dtype):
            return None
        return 'call jax.config.update("jax_enable_x64", True) before anything of JAX\'s runs'

    def array(self, values: tf.Tensor | np.ndarray) -> jax.Array:
        """The same memory of a tensor, which JAX leaves as it is; a copy of an array."""
        return from_tensorflow(values) if isinstance(values, tf.Tensor) else jnp.array(values)

    def seed(self, seed: jax.Array) -> jax.Array:
        """The same bits."""
        return jax.lax.bitcast_convert_type(seed, jnp.int32)

    def at_once(self) -> contextlib.AbstractContextManager[Any]:
        """Evaluates what JAX would trace."""
        return jax.ensure_compile_time_eval()

    def route(self, function: PureFunction, specs: Sequence[tf.TensorSpec]) -> str:
        """By what XLA can compile, as far as that is known yet."""
        return staged_by_jax.route(function, specs)

    def call(self, function: PureFunction, arguments: Sequence[Any]) -> list[Any]:
        """As the base class has it."""
        fixed = {i: a for i, a in enumerate(arguments) if isinstance(a, tf.Tensor)}
        arrays = [a for a in arguments if not isinstance(a, tf.Tensor)]
        return _call(function.fixing(fixed) if fixed else function, arrays)


def _call(function: PureFunction, arrays: Sequence[jax.Array]) -> list[jax.Array]:
    if any(isinstance(array, jax.core.Tracer) for array in arrays):
        return list(_differentiable(function)(*arrays))
    return _at_once(function, arrays)


def _at_once(function: PureFunction, arrays: Sequence[jax.Array]) -> list[jax.Array]:
    # Whatever is being traced around it.
    with jax.ensure_compile_time_eval():
        return [from_tensorflow(result) for result in function.run(*map(to_tensorflow, arrays))]


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class _Wanted:
    """Of which arguments JAX wants a gradient."""

    flags: tuple[bool, ...]


def _differentiable(function: PureFunction) -> Callable[..., Any]:
    """The function as JAX differentiates it, as often as it likes, from back to front."""
    if "jax" in function.made:
        made: Callable[..., Any] = function.made["jax"]
        return made

    @jax.custom_vjp
    def call(*arrays: Any) -> list[Any]:
        if any(isinstance(array, jax.core.Tracer) for array in arrays):
            return list(staged_by_jax.staged(function, arrays)(*arrays))
        return _at_once(function, arrays)

    def forward(*primals: Any) -> tuple[list[Any], Any]:
        arrays = tuple(primal.value for primal in primals)
        wanted = (p.perturbed and jnp.issubdtype(p.value.dtype, jnp.inexact) for p in primals)
        return call(*arrays), (_Wanted(tuple(wanted)), arrays)

    def backward(kept: Any, cotangents: Sequence[Any]) -> tuple[Any, ...]:
        wanted, arrays = kept
        given = [not isinstance(cotangent, SymbolicZero) for cotangent in cotangents]
        gradient = function.gradient(wanted.flags, given)
        # Of complex numbers JAX's gradient is the conjugate of TensorFlow's.
        gradients = [jnp.conj(c) for c, has in zip(cotangents, given, strict=True) if has]
        found = iter(_call(gradient, [*arrays, *gradients]))
        return tuple(jnp.conj(next(found)) if want else None for want in wanted.flags)

    call.defvjp(forward, backward, symbolic_zeros=True)
    function.made["jax"] = call
    return call
