"""Weights in the stores that Keras writes and reads files by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras

from hub_keras_bridge.errors import CheckpointError, Subject
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.facts.variables import VariableFacts


def save_weights(store: Any, weights: Iterable[tuple[VariableFacts, keras.Variable]]) -> None:
    """Writes weights by name into a store of Keras's."""
    for facts, variable in weights:
        store[_store_key(facts)] = variable


def load_weights(
    store: Any,
    weights: Iterable[tuple[VariableFacts, keras.Variable]],
    subject: Subject,
) -> None:
    """Reads weights by name from a store of Keras's.

    Args:
        store: what Keras gives a layer.
        weights: all weights of the layer.
        subject: for messages.

    Raises:
        CheckpointError: names or shapes differ.
    """
    wanted = {_store_key(facts): (facts, variable) for facts, variable in weights}
    if set(store.keys()) != set(wanted):
        raise CheckpointError(
            f"Cannot load the weights of a {subject.kind}: other variables were saved.",
            subject,
            expected=choices(facts.node for facts, _ in wanted.values()),
            found=choices(key.replace("|", "/") for key in set(store.keys())),
            advice=_SAME,
        )
    for key, (facts, variable) in wanted.items():
        value = store[key]
        if tuple(value.shape) != facts.shape:
            raise CheckpointError(
                f"Cannot load weight {facts.node!r} of a {subject.kind}.",
                subject,
                expected=f"shape {list(facts.shape)}",
                found=f"shape {list(value.shape)}",
                advice=_SAME,
            )
        variable.assign(value)


_SAME = "load weights that were saved from a layer of the same module"


def _store_key(facts: VariableFacts) -> str:
    # A slash would make groups in an HDF5 file; TF1 names have no bar.
    return facts.node.replace("/", "|")
