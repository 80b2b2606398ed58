"""How long TensorFlow's graph optimizer goes over a function at its first call."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2
from tensorflow.python.eager import context as tf_context

_Rewriter = rewriter_config_pb2.RewriterConfig

# What has nothing to do in a graph of TensorFlow 1 that computes on a CPU: it is for devices
# of several kinds, for gradients in the same graph, and for what Keras's layers leave there.
_NOT_FOR_CPUS = (
    *("layout_optimizer", "implementation_selector", "scoped_allocator_optimization"),
    *("shape_optimization", "loop_optimization", "debug_stripper"),
)


class OptimizedOnce:
    """A function over which the optimizer goes once, where it is called eagerly on a CPU.

    By itself TensorFlow goes over each function twice, which takes as long again and
    finds next to nothing in a graph that was made for inference. Where a user has said
    what the optimizer is to do, it does that, and so it does with functions that are
    called in others. No public name says it of one function alone.

    Args:
        function: what ``tf.compat.v1.wrap_function`` returns.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    @property
    def variables(self) -> Iterable[tf.Variable]:
        """Those that the function captured."""
        return getattr(self._function, "variables", ())

    def __call__(self, *inputs: tf.Tensor) -> Any:
        """Calls the function."""
        if not tf.executing_eagerly():
            return self._function(*inputs)
        context = tf_context.context()
        usual = context.function_call_options
        context.function_call_options = _once(usual.config_proto_serialized, usual.executor_type)
        try:
            return self._function(*inputs)
        finally:
            context.function_call_options = usual


@functools.lru_cache(maxsize=8)
def _once(serialized: bytes, executor_type: str | None) -> Any:
    """The options of a call, with the optimizer's part of them filled in if it is empty."""
    config = config_pb2.ConfigProto.FromString(serialized)
    rewriting = config.graph_options.rewrite_options
    if rewriting == _Rewriter() and not tf.config.list_logical_devices("GPU"):
        rewriting.meta_optimizer_iterations = _Rewriter.ONE
        rewriting.memory_optimization = _Rewriter.NO_MEM_OPT
        for name in _NOT_FOR_CPUS:
            setattr(rewriting, name, _Rewriter.OFF)
    return tf_context.FunctionCallOptions(executor_type, config)
