"""From the graph that a module_fn built to the proto that is published."""

from __future__ import annotations

import os
from collections.abc import Iterable

import tensorflow as tf
from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from hub_keras_bridge.errors import PublishError, Subject
from hub_keras_bridge.facts.tensor_protos import build_tensor_info
from hub_keras_bridge.files import layout
from hub_keras_bridge.graphs import graph
from hub_keras_bridge.publishing import rules
from hub_keras_bridge.publishing.declared import Declared

_ASSET_FILEPATHS = tf.compat.v1.GraphKeys.ASSET_FILEPATHS


def to_meta_graph(
    built: tf.Graph, tags: frozenset[str], assets: dict[str, str], subject: Subject
) -> meta_graph_pb2.MetaGraphDef:
    """Describes a finished graph as a variant of a module.

    Args:
        built: what a module_fn built and declared.
        tags: those of the variant.
        assets: file name in the module -> path of the publisher's file; those that
            the graph names are added.
        subject: for messages.

    Raises:
        PublishError: a rule of the format is broken.
    """
    declared = Declared.of(built)
    rules.check_signatures(declared.signatures, subject)
    rules.check_shapes(built, subject)
    asset_tensors = built.get_collection(_ASSET_FILEPATHS)
    # Leaves out collections of Python objects that no message can hold.
    meta_graph = tf.compat.v1.train.export_meta_graph(graph=built, strip_default_attrs=True)
    rules.check_collections(meta_graph.collection_def, subject)
    rules.check_state(meta_graph.graph_def, subject)
    meta_graph.meta_info_def.tags.extend(sorted(tags))
    meta_graph.ClearField("saver_def")
    for name, (inputs, outputs) in declared.signatures.items():
        signature = meta_graph.signature_def[name]
        for key, value in inputs.items():
            signature.inputs[key].CopyFrom(build_tensor_info(value))
        for key, value in outputs.items():
            signature.outputs[key].CopyFrom(build_tensor_info(value))
    for key, value in declared.messages.items():
        message = layout.ModuleAttachment(key=key, value=value)
        meta_graph.collection_def[layout.ATTACHMENTS_COLLECTION].bytes_list.value.append(
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
        packed = meta_graph.collection_def[layout.ASSETS_COLLECTION].any_list.value.add()
        packed.Pack(entry)
        node.attr["value"].tensor.string_val[:] = [layout.ASSET_PATH]


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
