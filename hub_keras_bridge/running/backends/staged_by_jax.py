"""What a program of JAX's has for a call: the graph itself, or a callback to TensorFlow.

XLA compiles a graph if it has kernels for all ops, and if no shape depends on values. That is
seen of the plan, then of the graph for the shapes at hand, and in the end by the attempt.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import tensorflow as tf
from absl import logging
from jax.experimental import jax2tf

from hub_keras_bridge.errors import BackendError
from hub_keras_bridge.errors.words import show_shape
from hub_keras_bridge.running import xla
from hub_keras_bridge.running.backends.between_jax import to_tensorflow
from hub_keras_bridge.running.place import need_threads
from hub_keras_bridge.running.pure_function import PureFunction

_STAGED, _MISSING = "staged by JAX", "beyond XLA"

# Of a function for how many shapes of its arguments the way is kept. JAX keeps its programs
# by itself.
_MOST = 32

# XLA compiles these to arrays of bounded size, which a program of JAX's does not take.
_SHAPED_BY_VALUES = {
    *("DynamicPartition", "NonMaxSuppressionV3", "NonMaxSuppressionV4"),
    *("Unique", "UniqueV2", "Where"),
}


def staged(function: PureFunction, arrays: Sequence[Any]) -> Callable[..., Any]:
    """The function for traced arrays of such shapes and dtypes; not differentiable."""
    if not all(isinstance(size, int) for each in arrays for size in each.shape):
        raise _unknown_shape(function, arrays)
    specs = tuple(tf.TensorSpec(each.shape, tf.as_dtype(each.dtype)) for each in arrays)
    kept: OrderedDict[Any, Callable[..., Any]] = function.made.setdefault(_STAGED, OrderedDict())
    found = kept.get(specs)
    if found is None:
        found = kept[specs] = _staged(function, specs)
        while len(kept) > _MOST:
            kept.popitem(last=False)
    return found


def route(function: PureFunction, specs: Sequence[tf.TensorSpec]) -> str:
    """By what way calls of a function go, in words.

    Args:
        function: what is called.
        specs: of its arguments, as far as they are known; what XLA makes of shapes is known
            of those that were met.
    """
    if _MISSING not in function.made:
        return _in_words(_missing_ops(function, function.traced_for(specs)))
    return _in_words(function.made[_MISSING])


def _in_words(missing: Mapping[str, str]) -> str:
    if missing:
        return f"jax.pure_callback: XLA cannot compile {xla.show(missing)}"
    return "jax2tf.call_tf: the graph is a part of JAX's program"


def _staged(function: PureFunction, specs: Sequence[tf.TensorSpec]) -> Callable[..., Any]:
    traced = function.traced_for(specs)
    awaited = [
        jax.ShapeDtypeStruct(tuple(spec.shape), spec.dtype.as_numpy_dtype)
        for spec in function.result_specs(specs, traced)
    ]
    missing = _missing_ops(function, traced) or _refused(function, traced, specs)
    function.made[_MISSING] = missing
    subject = function.subject
    logging.info("Calls of a %s (%s) go by %s", subject.kind, subject, _in_words(missing))
    made = _by_callback(function, awaited) if missing else _in_program(traced, awaited)
    # Neither knows what to do with a batch.
    return jax.custom_batching.sequential_vmap(made)


def _missing_ops(function: PureFunction, traced: Any) -> Mapping[str, str]:
    """The ops that XLA cannot compile for a program of JAX's, as :func:`xla.lacking` tells them."""
    if function.beyond_xla:
        return function.beyond_xla
    nodes = list(xla.ops_of(traced.graph.as_graph_def()))
    dynamic = {node.op: node.name for node in nodes if node.op in _SHAPED_BY_VALUES}
    return dynamic | xla.lacking(nodes)


def _refused(
    function: PureFunction, traced: Any, specs: Sequence[tf.TensorSpec]
) -> Mapping[str, str]:
    """What XLA has against it, where it is asked to compile it."""
    compiled = tf.function(traced, autograph=False, jit_compile=True)
    try:
        compiled.experimental_get_compiler_ir(*specs)(stage="hlo_serialized")
    except (tf.errors.OpError, TypeError, ValueError) as error:
        logging.debug("XLA does not compile a %s: %s", function.subject.kind, error)
        return {"a shape that is no constant": "unknown"}
    return {}


def _in_program(traced: Any, awaited: Sequence[Any]) -> Callable[..., Any]:
    return jax2tf.call_tf(
        lambda *tensors: list(traced(*tensors)),
        has_side_effects=False,
        output_shape_dtype=list(awaited),
    )


def _by_callback(function: PureFunction, awaited: Sequence[Any]) -> Callable[..., Any]:
    def in_tensorflow(*arrays: Any) -> list[np.ndarray]:
        need_threads(function.subject)
        results = [np.asarray(result) for result in function.run(*map(to_tensorflow, arrays))]
        for result, spec in zip(results, awaited, strict=True):
            if result.shape != spec.shape:
                raise _other_shape(function, result.shape, spec.shape)
        return results

    def run(*arrays: Any) -> Any:
        return jax.pure_callback(in_tensorflow, list(awaited), *arrays, vmap_method="sequential")

    return run


def _unknown_shape(function: PureFunction, arrays: Sequence[Any]) -> BackendError:
    shapes = ", ".join(str(each.shape) for each in arrays)
    return BackendError(
        f"Cannot make a program of JAX's of a {function.subject.kind} for shapes that are unknown.",
        function.subject,
        expected="shapes of whole numbers",
        found=f"arguments of the shapes {shapes}",
        advice="export it for one shape after the other; export_module keeps sizes open, for "
        "TensorFlow",
    )


def _other_shape(
    function: PureFunction, found: tuple[int, ...], awaited: tuple[int, ...]
) -> BackendError:
    return BackendError(
        f"Cannot return to JAX what a {function.subject.kind} computed: its shape depends on "
        "values.",
        function.subject,
        expected=f"the shape that a trial led to, {show_shape(awaited)}",
        found=show_shape(found),
        advice="call the layer outside of jax.jit, or with run_eagerly=True in compile()",
    )
