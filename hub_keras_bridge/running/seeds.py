"""Random ops that were published without a seed follow ``tf.random.set_seed``.

A graph that is imported keeps its ops' seeds, and an op without one draws a seed
of its own whatever the global seed is. In Keras it is the global seed that is
expected to make a run repeatable, and with ``enable_op_determinism`` TensorFlow
refuses to run an op without. So such ops get seeds as ops of TensorFlow 2 do:
from the sequence of the global seed. Where none is set, and for ops published
with a seed, nothing changes.
"""

from __future__ import annotations

import dataclasses
import itertools
import threading
from collections.abc import Callable, Iterable
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2

from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.errors import SeedError, Subject
from hub_keras_bridge.graphs import library
from hub_keras_bridge.plans.plan import Plan

# What TensorFlow calls the two halves of an op's seed; both zero for none.
_SEED, _SEED2 = "seed", "seed2"


def following_global_seed(chosen: Plan, build: Callable[[Plan], Any]) -> Any:
    """Builds a function that follows the global seed, whenever that is set.

    Args:
        chosen: what it runs.
        build: from a plan to a function.

    Returns:
        A function like ``build(chosen)``; the same if no op lacks a seed.
    """
    return _Following(chosen, build) if any(_unseeded(chosen.graph_def)) else build(chosen)


def with_seeds(graph_def: graph_pb2.GraphDef, subject: Subject) -> graph_pb2.GraphDef:
    """The same graph, where each random op without a seed has one if there is a global seed.

    Raises:
        SeedError: an op has none, there is no global seed, and TensorFlow is to
            be deterministic.
    """
    if not any(_unseeded(graph_def)):
        return graph_def
    seeded = graph_pb2.GraphDef()
    seeded.CopyFrom(graph_def)
    for node in _unseeded(seeded):
        seed, seed2 = _next_seed(subject)
        node.attr[_SEED].i, node.attr[_SEED2].i = seed or 0, seed2 or 0
    if seeded.library != graph_def.library:
        library.rename_functions(seeded)  # After their new content.
    return seeded


class _Following:
    """A function that is built anew when it is called under another global seed."""

    def __init__(self, chosen: Plan, build: Callable[[Plan], Any]) -> None:
        self._chosen = chosen
        self._build = build
        self._lock = threading.Lock()
        self._built = self._build_now()

    def __call__(self, *inputs: tf.Tensor) -> list[tf.Tensor]:
        return self._current()(*inputs)

    @property
    def variables(self) -> Iterable[tf.Variable]:
        """Those that the function captured, for who announces that they are read."""
        return getattr(self._current(), "variables", ())

    def _current(self) -> Any:
        with self._lock:
            if self._built[0] != private_tf.global_seed():
                self._built = self._build_now()
            return self._built[1]

    def _build_now(self) -> tuple[int | None, Any]:
        with tf.init_scope():
            chosen = self._chosen
            seeded = with_seeds(chosen.graph_def, chosen.subject)
            return private_tf.global_seed(), self._build(
                dataclasses.replace(chosen, graph_def=seeded)
            )


def _unseeded(graph_def: graph_pb2.GraphDef) -> Iterable[node_def_pb2.NodeDef]:
    """The random ops without a seed, those in functions included."""
    functions = (function.node_def for function in graph_def.library.function)
    for node in itertools.chain(graph_def.node, *functions):
        definition = private_tf.op_def(node.op)
        attributes = {a.name for a in definition.attr} if definition else set()
        if {_SEED, _SEED2} <= attributes and not any(
            node.attr[name].i for name in (_SEED, _SEED2) if name in node.attr
        ):
            yield node


def _next_seed(subject: Subject) -> tuple[int | None, int | None]:
    """Both halves of the seed that an op made now would have; None without a global one."""
    try:
        with private_tf.eager_mode():
            return tf.compat.v1.get_seed(None)
    except RuntimeError as error:
        raise SeedError(
            "Cannot run a TF1 Hub module: TensorFlow is to be deterministic, and the module has "
            "random ops without a seed.",
            subject,
            expected="a global seed",
            found="none",
            advice="call keras.utils.set_random_seed(...) or tf.random.set_seed(...) first",
        ) from error
