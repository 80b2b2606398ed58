"""What may be published: the rules of the TF1 Hub format for a module's graph.

Those of tensorflow/hub's documentation of the format, and those without which no
consumer could load or feed the module.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import tensorflow as tf
from absl import logging
from tensorflow.core.framework import graph_pb2

from hub_keras_bridge.errors import PublishError, Subject
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.files import layout
from hub_keras_bridge.graphs.published import state_nodes

_KEYS = tf.compat.v1.GraphKeys

# What a module may contain: see the list in the documentation, "Supported collections".
SUPPORTED_COLLECTIONS = frozenset(
    {
        _KEYS.GLOBAL_VARIABLES,
        _KEYS.TRAINABLE_VARIABLES,
        _KEYS.MODEL_VARIABLES,
        _KEYS.TABLE_INITIALIZERS,
        _KEYS.UPDATE_OPS,
        _KEYS.REGULARIZATION_LOSSES,
        _KEYS.ASSET_FILEPATHS,
        _KEYS.COND_CONTEXT,
        _KEYS.WHILE_CONTEXT,
        layout.ATTACHMENTS_COLLECTION,
    }
)

# Before each name in a node's attribute _class, the ops whose device it shares.
_COLOCATED = "loc:@"


def check_signatures(signatures: Collection[str], subject: Subject) -> None:
    """Checks that there is a signature.

    Raises:
        PublishError: there is none.
    """
    if not signatures:
        raise PublishError(
            "Cannot create a TF1 Hub module: its module_fn defined no signature.",
            subject,
            expected="at least one call of add_signature(...)",
            found="none",
            advice="call add_signature(inputs=..., outputs=...) within module_fn",
        )


def check_collections(present: Iterable[str], subject: Subject) -> None:
    """Checks that a graph has only collections that the format knows.

    Raises:
        PublishError: it has others; the message names them.
    """
    unsupported = set(present) - SUPPORTED_COLLECTIONS
    if unsupported:
        raise PublishError(
            "Cannot create a TF1 Hub module: the graph has collections that the format lacks.",
            subject,
            expected=f"only {choices(SUPPORTED_COLLECTIONS)}",
            found=choices(unsupported),
            advice=f"pass drop_collections={sorted(unsupported)!r}, if consumers can do without "
            "these lists; what is on them stays in the graph",
        )


def check_shapes(built: tf.Graph, subject: Subject) -> None:
    """Checks that the shape of each variable is known.

    Whoever loads the module makes variables before there are values.

    Raises:
        PublishError: that of one is not.
    """
    for variable in built.get_collection(_KEYS.GLOBAL_VARIABLES):
        if not variable.shape.is_fully_defined():
            raise PublishError(
                f"Cannot create a TF1 Hub module: the shape of variable {variable.op.name!r} "
                "is not fixed.",
                subject,
                expected="a static shape",
                found=str(variable.shape),
                advice="give its initial value a static shape, and leave validate_shape=True",
            )


def check_state(graph_def: graph_pb2.GraphDef, subject: Subject) -> None:
    """Checks that state is colocated with state alone.

    A module's state is made once, before and apart from the computation that
    every application repeats, so it cannot go where some computation goes.

    Raises:
        PublishError: some is colocated with an op that holds none.
    """
    holders = state_nodes(graph_def)
    for node in graph_def.node:
        if node.name not in holders or "_class" not in node.attr:
            continue
        groups = {group.decode() for group in node.attr["_class"].list.s}
        if others := groups - {_COLOCATED + name for name in holders}:
            raise PublishError(
                f"Cannot create a TF1 Hub module: {node.name!r}, which holds state, is colocated "
                "with an op that holds none.",
                subject,
                expected=f"this {node.op} by itself, or colocated with other variables and tables",
                found=f"colocated with {_ops_named(others)}",
                advice="make it outside tf.compat.v1.colocate_with(...), or colocate the other "
                "op with it",
            )


def check_inputs(inputs: Mapping[str, Any], subject: Subject) -> None:
    """Checks that whatever is fed can take an input's place.

    Raises:
        PublishError: an input is colocated with another op.
    """
    for key, value in inputs.items():
        for tensor in tf.nest.flatten(value, expand_composites=True):
            groups = {group.decode() for group in tensor.op.colocation_groups()}
            if others := groups - {_COLOCATED + tensor.op.name}:
                raise PublishError(
                    f"Cannot add a signature to a TF1 Hub module: input {key!r} is colocated "
                    "with another op.",
                    subject,
                    expected=f"{tensor.name!r} outside any tf.compat.v1.colocate_with(...)",
                    found=f"colocated with {_ops_named(others)}",
                    advice="make the placeholder first, and colocate the other op with it",
                )
            if len(tensor.op.outputs) > 1:
                logging.error(
                    "Input %r of a signature (%s) is %s, one of %d outputs of an op of type %s. "
                    "An op that is colocated with it cannot follow it to where the module is "
                    "applied; better make the input a placeholder, or a tf.identity of this.",
                    key,
                    subject,
                    tensor.name,
                    len(tensor.op.outputs),
                    tensor.op.type,
                )


def _ops_named(groups: Iterable[str]) -> str:
    return choices(group.removeprefix(_COLOCATED) for group in groups)


def dropped_collections(drop_collections: Iterable[str] | None, subject: Subject) -> list[str]:
    """The collections that a publisher leaves out.

    Raises:
        PublishError: a string, which would be taken letter by letter.
    """
    if isinstance(drop_collections, str):
        raise PublishError(
            "drop_collections is a list of names, not one name.",
            subject,
            expected="a list of strings",
            found=repr(drop_collections),
            advice=f"pass [{drop_collections!r}]",
        )
    return list(drop_collections or ())
