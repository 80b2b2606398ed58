"""What a module_fn declares: kept in the graph that it builds until that is finished."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from absl import logging

from hub_keras_bridge.errors import PublishError, Subject

# TensorFlow lists and exports only collections with strings for names: a module_fn
# does not meet these.
_SIGNATURES = ("hub_keras_bridge signatures",)
_MESSAGES = ("hub_keras_bridge messages",)

Tensors = Mapping[str, Any]


@dataclass(frozen=True)
class Declared:
    """What was declared in a graph. Of two of one name, the later counts.

    Attributes:
        signatures: name -> tensors by name, those of inputs and those of outputs.
        messages: key -> serialized message that is to be attached.
    """

    signatures: Mapping[str, tuple[Tensors, Tensors]]
    messages: Mapping[str, bytes]

    @classmethod
    def of(cls, graph: tf.Graph) -> Declared:
        """All of it, once the graph is finished."""
        return cls(dict(graph.get_collection(_SIGNATURES)), dict(graph.get_collection(_MESSAGES)))


def declare_signature(
    graph: tf.Graph, name: str, inputs: Tensors, outputs: Tensors, subject: Subject
) -> None:
    """Keeps a signature; a log tells if it takes the place of another."""
    if name in dict(graph.get_collection(_SIGNATURES)):
        logging.warning("Signature %r (%s) is defined again; the later one counts.", name, subject)
    graph.add_to_collection(_SIGNATURES, (name, (inputs, outputs)))


def declare_message(graph: tf.Graph, key: str, message: bytes) -> None:
    """Keeps a message that is to be attached."""
    graph.add_to_collection(_MESSAGES, (key, message))


def graph_being_built(caller: str) -> tf.Graph:
    """The graph that a function which declares something is called in.

    Raises:
        PublishError: TensorFlow executes eagerly there.
    """
    # Any graph will do: programs train what a module_fn builds by itself.
    if tf.executing_eagerly():
        raise PublishError(
            f"Cannot call {caller}: no TF1 Hub module is being built.",
            expected="a call within the module_fn that create_module_spec was given",
            found="a call outside",
            advice=f"move the call of {caller} into module_fn",
        )
    return tf.compat.v1.get_default_graph()
