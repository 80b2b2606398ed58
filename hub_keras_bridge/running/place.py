"""Where a call may happen: not in a TF1 graph, and not in every forked process.

TensorFlow does not run in a forked process once it has run in its parent. Its
threads stay behind: a function called in the child waits for them for ever. A fork
before the parent's first op does no harm.
"""

from __future__ import annotations

import os

import tensorflow as tf

from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.errors import ForkError, GraphModeError, Subject

_left_behind = False


def need_eager_execution(
    problem: str, subject: Subject, *, advice: str, functions: str = "Keras or TensorFlow 2"
) -> None:
    """Checks that no TF1 graph is being built.

    Args:
        problem: what cannot be done in one, for the message.
        subject: the module.
        advice: what to do instead.
        functions: whose functions it works in.

    Raises:
        GraphModeError: one is.
    """
    if tf.executing_eagerly() or tf.inside_function():
        return
    raise GraphModeError(
        problem,
        subject,
        expected=f"eager execution, or a function of {functions}",
        found="a TF1 graph that is being built",
        advice=advice,
    )


def need_threads(subject: Subject) -> None:
    """Checks that this process has the threads that TensorFlow counts on.

    Raises:
        ForkError: they are in the process that this one was forked from.
    """
    if _left_behind:
        raise ForkError(
            f"Cannot run a {subject.kind} in a forked process: it would wait for ever.",
            subject,
            expected="a process of its own, or one forked before TensorFlow ran its first op",
            found="a fork of a process that TensorFlow had run in",
            advice="start processes with multiprocessing.get_context('spawn'), or fork before "
            "a layer is called, a model is built or a tensor is made",
        )


def _note() -> None:
    global _left_behind
    _left_behind = private_tf.runs_eagerly()


if hasattr(os, "register_at_fork"):  # Windows has no fork.
    os.register_at_fork(after_in_child=_note)
