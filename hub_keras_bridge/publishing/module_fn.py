"""From a module_fn, a function that builds a TF1 graph, to a ModuleSpec."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import tensorflow as tf
from google.protobuf.message import Message
from tensorflow.core.protobuf import saved_model_pb2

from hub_keras_bridge.errors import PublishError, Subject
from hub_keras_bridge.errors.words import show_tags
from hub_keras_bridge.facts.signatures import DEFAULT_SIGNATURE
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.facts.tags import as_tags
from hub_keras_bridge.files import module_folder
from hub_keras_bridge.publishing.declared import (
    declare_message,
    declare_signature,
    graph_being_built,
)
from hub_keras_bridge.publishing.meta_graph import to_meta_graph
from hub_keras_bridge.publishing.named_tensors import as_text, named_tensors
from hub_keras_bridge.publishing.rules import check_inputs, dropped_collections

_NAME_OF_NEW_MODULE = "(not published yet)"


def create_module_spec(
    module_fn: Callable[..., None],
    tags_and_args: Sequence[tuple[Collection[str], Mapping[str, Any]]] | None = None,
    drop_collections: Iterable[str] | None = None,
) -> ModuleSpec:
    """Builds a module from a function that defines its graph.

    Args:
        module_fn: called once per variant in a graph of its own, where
            variables are resource variables by default. It calls
            :func:`add_signature` at least once.
        tags_and_args: pairs (tags, keyword arguments of ``module_fn``), one per
            variant; by default ``[(set(), {})]``.
        drop_collections: graph collections to leave out.

    Returns:
        A spec; ``ModuleLayer(spec)`` runs it, ``spec.export`` publishes it.

    Raises:
        PublishError: tags used twice, no signature, a collection that the
            format does not have, or a variable or table colocated with an op
            that holds no state.

    Example:

    >>> def half_plus_two():
    ...     x = tf.compat.v1.placeholder(tf.float32, [None])
    ...     add_signature(inputs=x, outputs=x / 2 + 2)
    >>> create_module_spec(half_plus_two).get_signature_names()
    ['default']
    """
    saved_model = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    assets: dict[str, str] = {}
    seen: set[frozenset[str]] = set()
    for tags, arguments in tags_and_args or [((), {})]:
        tags = as_tags(tags)
        subject = Subject(_NAME_OF_NEW_MODULE, tags)
        if tags in seen:
            raise PublishError(
                "Cannot create a TF1 Hub module: two variants have the same tags.",
                subject,
                expected="each set of tags once in tags_and_args",
                found=f"{show_tags(tags)} twice",
                advice="give each variant tags of its own",
            )
        seen.add(tags)
        with tf.Graph().as_default() as built:
            with tf.compat.v1.variable_scope("", use_resource=True):
                module_fn(**arguments)
            for collection in dropped_collections(drop_collections, Subject(_NAME_OF_NEW_MODULE)):
                built.clear_collection(collection)
            saved_model.meta_graphs.append(to_meta_graph(built, tags, assets, subject))
    return ModuleSpec(
        module_folder.ModuleFiles(
            name=_NAME_OF_NEW_MODULE, saved_model=saved_model, assets=assets, made_here=True
        )
    )


def add_signature(
    name: str | None = None,
    inputs: Any = None,
    outputs: Any = None,
) -> None:
    """Defines a signature of the module that is being built.

    Called within a ``module_fn``. Of two signatures of one name, the later counts.

    Args:
        name: the signature's name; ``"default"`` if None.
        inputs: dict from input name to graph tensor (dense, sparse or ragged);
            a single tensor stands for ``{"default": tensor}``. Each is best a
            placeholder; in any case it is not colocated with another op.
        outputs: likewise, without such limits.

    Dtypes and static shapes are those of the tensors; None stands for any size.

    Raises:
        PublishError: something is no graph tensor, an input is colocated with
            another op, or this is called outside a graph.

    Example:

    >>> def sums():
    ...     x = tf.compat.v1.placeholder(tf.float32, [None, 3], name="x")
    ...     add_signature(inputs=x, outputs={"default": 2 * x, "sum": tf.reduce_sum(x, 1)})
    ...     add_signature("halved", inputs={"x": x}, outputs=x / 2)
    >>> spec = create_module_spec(sums)
    >>> spec.get_signature_names()
    ['default', 'halved']
    >>> print(spec.get_output_info_dict()["sum"])
    float32 [?]
    """
    name = as_text(name or DEFAULT_SIGNATURE)
    if not isinstance(name, str):
        raise PublishError(
            "Cannot add a signature to a TF1 Hub module: its name is no string.",
            Subject(_NAME_OF_NEW_MODULE),
            expected="a string, or None for 'default'",
            found=f"{type(name).__name__}: {name!r}",
            advice="pass add_signature(inputs=..., outputs=...) by keyword",
        )
    subject = Subject(_NAME_OF_NEW_MODULE, signature=name)
    graph = graph_being_built("add_signature")
    named_inputs = named_tensors(inputs, "input", subject)
    named_outputs = named_tensors(outputs, "output", subject)
    check_inputs(named_inputs, subject)
    declare_signature(graph, name, named_inputs, named_outputs, subject)


def attach_message(key: str, message: Message) -> None:
    """Attaches a protocol message to the module that is being built.

    Called within a ``module_fn``; consumers read it with
    ``ModuleSpec.get_attached_message``. A second message under one key replaces
    the first.

    Args:
        key: a letter, then letters, digits and underscores.
        message: any protobuf message.

    Raises:
        PublishError: the key is malformed, the message is none, or this is
            called outside a graph.

    Example:

    >>> from google.protobuf import wrappers_pb2
    >>> def module_fn():
    ...     x = tf.compat.v1.placeholder(tf.float32, [None])
    ...     add_signature(inputs=x, outputs=x)
    ...     attach_message("language", wrappers_pb2.StringValue(value="mri"))
    >>> spec = create_module_spec(module_fn)
    >>> spec.get_attached_message("language", wrappers_pb2.StringValue).value
    'mri'
    """
    if not isinstance(key, str) or not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]*", key):
        raise PublishError(
            f"Cannot attach a message under the key {key!r}.",
            Subject(_NAME_OF_NEW_MODULE),
            expected="a letter, then letters, digits and underscores",
            found=repr(key),
            advice="choose a key like 'image_module_info'",
        )
    if not isinstance(message, Message):
        raise PublishError(
            f"Cannot attach a value under the key {key!r}: not a protobuf message.",
            Subject(_NAME_OF_NEW_MODULE),
            expected="a protobuf message",
            found=f"{type(message).__name__}: {message!r}",
            advice="pass an instance of a generated message class",
        )
    declare_message(graph_being_built("attach_message"), key, message.SerializeToString())
