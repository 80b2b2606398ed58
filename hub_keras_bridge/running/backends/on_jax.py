"""Calls from JAX: the graph becomes a part of the program, or the program calls TensorFlow."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tensorflow as tf
from jax.experimental import jax2tf

from hub_keras_bridge.running.backends.backend import Backend
from hub_keras_bridge.running.pure_function import PureFunction

_IN_THE_PROGRAM = "jax2tf.call_tf"
_BY_CALLBACK = "jax.pure_callback"


class Jax(Backend):
    """JAX."""

    name = "jax"
    title = "JAX"

    def is_array(self, value: Any) -> bool:
        """Whether it is a ``jax.Array``, a traced one included."""
        return isinstance(value, jax.Array)

    def spec(self, array: jax.Array) -> tf.TensorSpec:
        """Shape and dtype."""
        return tf.TensorSpec(array.shape, tf.as_dtype(array.dtype))

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

    def array(self, tensor: tf.Tensor) -> jax.Array:
        """A copy."""
        return jnp.asarray(tensor.numpy())

    def seed(self, seed: jax.Array) -> jax.Array:
        """The same bits."""
        return jax.lax.bitcast_convert_type(seed, jnp.int32)

    def at_once(self) -> contextlib.AbstractContextManager[Any]:
        """Evaluates what JAX would trace."""
        return jax.ensure_compile_time_eval()

    def route(self, function: PureFunction) -> str:
        """By what XLA can compile."""
        return _BY_CALLBACK if function.beyond_xla else _IN_THE_PROGRAM

    def call(self, function: PureFunction, arguments: Sequence[Any]) -> list[Any]:
        """As the base class has it."""
        fixed = {i: a for i, a in enumerate(arguments) if isinstance(a, tf.Tensor)}
        arrays = [a for a in arguments if not isinstance(a, tf.Tensor)]
        if fixed or function.beyond_xla:
            return list(_by_callback(function, fixed)(*arrays))
        if _IN_THE_PROGRAM not in function.made:
            function.made[_IN_THE_PROGRAM] = jax2tf.call_tf(function.run, has_side_effects=False)
        return list(function.made[_IN_THE_PROGRAM](*arrays))


def _by_callback(
    function: PureFunction, fixed: dict[int, tf.Tensor]
) -> Callable[..., Sequence[jax.Array]]:
    """The function of the arrays alone, which TensorFlow runs."""

    def filled(arrays: Sequence[Any]) -> list[Any]:
        remaining = iter(arrays)
        count = len(fixed) + len(arrays)
        return [fixed[i] if i in fixed else next(remaining) for i in range(count)]

    def forward(*arrays: Any) -> list[np.ndarray]:
        given = [
            tf.convert_to_tensor(np.asarray(a)) if not isinstance(a, tf.Tensor) else a
            for a in filled(arrays)
        ]
        return [result.numpy() for result in function.traced(*given)]

    def backward(arrays: Sequence[Any], cotangents: Sequence[Any]) -> list[np.ndarray]:
        given = [
            tf.convert_to_tensor(np.asarray(a)) if not isinstance(a, tf.Tensor) else a
            for a in filled(arrays)
        ]
        own = [g for i, g in enumerate(given) if i not in fixed and g.dtype.is_floating]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(own)
            results = function.traced(*given)
        floats = [
            (r, tf.convert_to_tensor(np.asarray(c)))
            for r, c in zip(results, cotangents, strict=True)
            if r.dtype.is_floating
        ]
        found = tape.gradient(
            [r for r, _ in floats],
            own,
            [c for _, c in floats],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        return [tf.convert_to_tensor(gradient).numpy() for gradient in found]

    @jax.custom_vjp
    def call(*arrays: Any) -> Any:
        if not any(isinstance(a, jax.core.Tracer) for a in arrays):
            return [jnp.asarray(result) for result in forward(*arrays)]
        specs = [
            a if isinstance(a, tf.Tensor) else tf.TensorSpec(a.shape, a.dtype)
            for a in filled(arrays)
        ]
        results = [
            _awaited(tuple(s.shape), s.dtype.as_numpy_dtype) for s in function.result_specs(specs)
        ]
        return jax.pure_callback(forward, results, *arrays, vmap_method="sequential")

    def call_forward(*arrays: Any) -> Any:
        return call(*arrays), arrays

    def call_backward(arrays: Any, cotangents: Any) -> Any:
        own = [a for a in arrays if jnp.issubdtype(a.dtype, jnp.floating)]
        found = iter(
            jax.pure_callback(
                lambda a, c: backward(a, c),
                [_awaited(a.shape, a.dtype) for a in own],
                arrays,
                cotangents,
                vmap_method="sequential",
            )
        )
        return tuple(next(found) if jnp.issubdtype(a.dtype, jnp.floating) else None for a in arrays)

    call.defvjp(call_forward, call_backward)
    return call


def _awaited(shape: Sequence[int], dtype: Any) -> Any:
    return jax.ShapeDtypeStruct(shape, dtype)
