"""Publishing: from a function that builds a TF1 graph to a ModuleSpec."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging
from google.protobuf.message import Message
from tensorflow.core.framework import graph_pb2, node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from hub_keras_bridge.errors import PublishError, Subject, choices, show_tags
from hub_keras_bridge.facts.signatures import DEFAULT_KEY, DEFAULT_SIGNATURE
from hub_keras_bridge.facts.spec import ModuleSpec, as_tags
from hub_keras_bridge.facts.tensor_info import TENSORS, build_tensor_info
from hub_keras_bridge.files import module_folder
from hub_keras_bridge.graphs import graph
from hub_keras_bridge.graphs.published import state_nodes

_KEYS = tf.compat.v1.GraphKeys

# What a module may contain: see the list in tensorflow/hub's documentation of
# the TF1 Hub format, "Supported collections".
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
        module_folder.ATTACHMENTS_COLLECTION,
    }
)

# Where signatures and attachments wait in the graph being built. TensorFlow lists and
# exports only collections with strings for names: a module_fn does not meet these.
_SIGNATURES = ("hub_keras_bridge signatures",)
_ATTACHMENTS = ("hub_keras_bridge attachments",)

# What is taken for a tensor by mistake, and has one's values.
_CONVERTIBLE = (
    tf.Variable,
    tf.IndexedSlices,
    np.ndarray,
    np.generic,
    *(bool, int, float, str, bytes, list, tuple),
)

# The value of an asset's path in a published graph; the file takes its place.
ASSET_PATH = b"SAVEDMODEL-ASSET"

# Before each name in a node's attribute _class, the ops whose device it shares.
_COLOCATED = "loc:@"

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
            for collection in as_list(drop_collections):
                built.clear_collection(collection)
            saved_model.meta_graphs.append(_meta_graph(built, tags, assets, subject))
    return ModuleSpec(
        module_folder.ModuleFiles(
            name=_NAME_OF_NEW_MODULE, saved_model=saved_model, assets=assets, made_here=True
        )
    )


def as_list(drop_collections: Iterable[str] | None) -> list[str]:
    """The collections to drop.

    Raises:
        PublishError: a string, which would be taken letter by letter.
    """
    if isinstance(drop_collections, str):
        raise PublishError(
            "drop_collections is a list of names, not one name.",
            Subject(_NAME_OF_NEW_MODULE),
            expected="a list of strings",
            found=repr(drop_collections),
            advice=f"pass [{drop_collections!r}]",
        )
    return list(drop_collections or ())


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
    name = _text(name or DEFAULT_SIGNATURE)
    if not isinstance(name, str):
        raise PublishError(
            "Cannot add a signature to a TF1 Hub module: its name is no string.",
            Subject(_NAME_OF_NEW_MODULE),
            expected="a string, or None for 'default'",
            found=f"{type(name).__name__}: {name!r}",
            advice="pass add_signature(inputs=..., outputs=...) by keyword",
        )
    subject = Subject(_NAME_OF_NEW_MODULE, signature=name)
    current = _graph_being_built("add_signature")
    if any(known == name for known, *_ in current.get_collection(_SIGNATURES)):
        logging.warning("Signature %r (%s) is defined again; the later one counts.", name, subject)
    entry = name, _tensors(inputs, "input", subject), _tensors(outputs, "output", subject)
    _check_inputs(entry[1], subject)
    current.add_to_collection(_SIGNATURES, entry)


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
            f"Cannot attach a message under the key {key!r}: it is none.",
            Subject(_NAME_OF_NEW_MODULE),
            expected="a protobuf message",
            found=f"{type(message).__name__}: {message!r}",
            advice="pass an instance of a generated message class",
        )
    entry = key, message.SerializeToString()
    _graph_being_built("attach_message").add_to_collection(_ATTACHMENTS, entry)


def _graph_being_built(caller: str) -> tf.Graph:
    # Any graph will do: programs train what a module_fn builds by itself.
    if tf.executing_eagerly():
        raise PublishError(
            f"Cannot call {caller}: no TF1 Hub module is being built.",
            expected="a call within the module_fn that create_module_spec was given",
            found="a call outside",
            advice=f"move the call of {caller} into module_fn",
        )
    return tf.compat.v1.get_default_graph()


def _tensors(given: Any, kind: str, subject: Subject) -> dict[str, Any]:
    named = given if isinstance(given, Mapping) else {} if given is None else {DEFAULT_KEY: given}
    named = {_text(key): value for key, value in named.items()}
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


def _text(name: Any) -> Any:
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


def _check_inputs(inputs: Mapping[str, Any], subject: Subject) -> None:
    """Checks that whatever is fed can take an input's place."""
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


def _check_shapes(built: tf.Graph, subject: Subject) -> None:
    """Checks that the shape of each variable is known.

    Whoever loads the module makes variables before there are values.
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


def _check_state(graph_def: graph_pb2.GraphDef, subject: Subject) -> None:
    """Checks that state is colocated with state alone.

    A module's state is made once, before and apart from the computation that
    every application repeats, so it cannot go where some computation goes.
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


def _ops_named(groups: Iterable[str]) -> str:
    return choices(group.removeprefix(_COLOCATED) for group in groups)


def _meta_graph(
    built: tf.Graph, tags: frozenset[str], assets: dict[str, str], subject: Subject
) -> meta_graph_pb2.MetaGraphDef:
    """Describes a finished graph; collects its asset files in ``assets``."""
    signatures = {name: sides for name, *sides in built.get_collection(_SIGNATURES)}
    attached = dict(built.get_collection(_ATTACHMENTS))
    if not signatures:
        raise PublishError(
            "Cannot create a TF1 Hub module: its module_fn defined no signature.",
            subject,
            expected="at least one call of add_signature(...)",
            found="none",
            advice="call add_signature(inputs=..., outputs=...) within module_fn",
        )
    _check_shapes(built, subject)
    asset_tensors = built.get_collection(_KEYS.ASSET_FILEPATHS)
    # Leaves out collections of Python objects that no message can hold.
    meta_graph = tf.compat.v1.train.export_meta_graph(graph=built, strip_default_attrs=True)
    check_collections(meta_graph.collection_def, subject)
    _check_state(meta_graph.graph_def, subject)
    meta_graph.meta_info_def.tags.extend(sorted(tags))
    meta_graph.ClearField("saver_def")
    for name, (inputs, outputs) in signatures.items():
        signature = meta_graph.signature_def[name]
        for key, value in inputs.items():
            signature.inputs[key].CopyFrom(build_tensor_info(value))
        for key, value in outputs.items():
            signature.outputs[key].CopyFrom(build_tensor_info(value))
    for key, value in attached.items():
        message = module_folder.ModuleAttachment(key=key, value=value)
        meta_graph.collection_def[module_folder.ATTACHMENTS_COLLECTION].bytes_list.value.append(
            message.SerializeToString()
        )
    _detach_assets(meta_graph, asset_tensors, assets, subject)
    return meta_graph


def _detach_assets(
    meta_graph: meta_graph_pb2.MetaGraphDef,
    tensors: Iterable[tf.Tensor],
    assets: dict[str, str],
    subject: Subject,
) -> None:
    """Replaces the publisher's paths in the graph by names below ``assets/``."""
    nodes = graph.nodes_by_name(meta_graph.graph_def)
    # An initializer lists its file itself; a publisher may list it again.
    for tensor in {tensor.name: tensor for tensor in tensors}.values():
        node = nodes[graph.node_name(tensor.name)]
        path = _constant_string(node)
        # Whether the file is there yet is a matter of who reads or copies it.
        if path is None:
            raise PublishError(
                f"Cannot create a TF1 Hub module: asset {tensor.name!r} is no path.",
                subject,
                expected="a string constant with the path of a file",
                found=f"an op of type {node.op}",
                advice="add tf.constant(path) to the collection ASSET_FILEPATHS",
            )
        entry = meta_graph_pb2.AssetFileDef(filename=_asset_name(path, assets))
        entry.tensor_info.name = tensor.name
        packed = meta_graph.collection_def[module_folder.ASSETS_COLLECTION].any_list.value.add()
        packed.Pack(entry)
        node.attr["value"].tensor.string_val[:] = [ASSET_PATH]


def _constant_string(node: node_def_pb2.NodeDef) -> str | None:
    if node.op != "Const" or node.attr["dtype"].type != tf.string.as_datatype_enum:
        return None
    values = tf.make_ndarray(node.attr["value"].tensor).ravel()
    return values[0].decode() if len(values) == 1 else None


def _asset_name(path: str, assets: dict[str, str]) -> str:
    """The file's base name, numbered where another file has it already."""
    base = os.path.basename(path)
    stem, extension = os.path.splitext(base)
    name, number = base, 0
    while assets.get(name, path) != path:
        number += 1
        name = f"{stem}_{number}{extension}"
    assets[name] = path
    return name
