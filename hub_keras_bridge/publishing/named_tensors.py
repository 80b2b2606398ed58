"""The inputs or outputs that a publisher names for a signature: graph tensors by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from hub_keras_bridge.errors import PublishError, Subject
from hub_keras_bridge.facts.signatures import DEFAULT_KEY
from hub_keras_bridge.facts.tensor_info import TENSORS

# What is taken for a tensor by mistake, and has one's values.
_CONVERTIBLE = (
    tf.Variable,
    tf.IndexedSlices,
    np.ndarray,
    np.generic,
    *(bool, int, float, str, bytes, list, tuple),
)


def named_tensors(given: Any, kind: str, subject: Subject) -> dict[str, Any]:
    """Graph tensors by name; a single one goes by ``"default"``.

    Args:
        given: what the publisher passed.
        kind: ``"input"`` or ``"output"``, for messages.
        subject: likewise.

    Raises:
        PublishError: a name is no string, or a value no tensor of the graph being built.
    """
    named = given if isinstance(given, Mapping) else {} if given is None else {DEFAULT_KEY: given}
    named = {as_text(key): value for key, value in named.items()}
    for key, value in named.items():
        if not isinstance(key, str):
            raise PublishError(
                f"Cannot add a signature to a TF1 Hub module: the name of an {kind} is no string.",
                subject,
                expected="a dict from name to tensor",
                found=f"{type(key).__name__}: {key!r}",
                advice="name each input and output, e.g. {'default': tensor}",
            )
        if not _is_of_this_graph(value):
            raise PublishError(
                f"Cannot add a signature to a TF1 Hub module: {kind} {key!r} is no tensor.",
                subject,
                expected="a tf.Tensor, tf.SparseTensor or tf.RaggedTensor of the graph",
                found=f"{type(value).__name__}: {value!r}",
                advice=_how_to_make_a_tensor(value),
            )
    return named


def as_text(name: Any) -> Any:
    """A name that code of Python 2's time wrote in bytes, as a string."""
    return name.decode() if isinstance(name, bytes) else name


def _is_of_this_graph(value: Any) -> bool:
    current = tf.compat.v1.get_default_graph()
    return isinstance(value, TENSORS) and all(
        # An eager tensor has no graph to ask for.
        getattr(part, "graph", None) is current
        for part in tf.nest.flatten(value, expand_composites=True)
    )


def _how_to_make_a_tensor(value: Any) -> str:
    """What to pass for a value that a signature cannot name.

    >>> _how_to_make_a_tensor(True)
    'pass a tensor of it: tf.convert_to_tensor(value)'
    >>> _how_to_make_a_tensor(tf.constant(1.0))
    'make this tensor within module_fn, by ops of the graph that is being built'
    """
    if isinstance(value, TENSORS):
        return "make this tensor within module_fn, by ops of the graph that is being built"
    if isinstance(value, _CONVERTIBLE) and not isinstance(value, tf.compat.v1.SparseTensorValue):
        return "pass a tensor of it: tf.convert_to_tensor(value)"
    return "pass a tensor, as TensorFlow's ops return it"
