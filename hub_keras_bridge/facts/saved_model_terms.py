"""The graph of a TF1 SavedModel in the terms in which a module's says the same.

A SavedModel names by an op what is to run when it is loaded (``saved_model_main_op``,
earlier ``legacy_init_op``); a module lists the initializers of its tables. Its assets may
stand beside the collections, and carry the path where they lay when it was written.
"""

from __future__ import annotations

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from hub_keras_bridge.errors import Subject
from hub_keras_bridge.files import layout, module_folder
from hub_keras_bridge.graphs import graph

_TABLE_INITIALIZERS = tf.compat.v1.GraphKeys.TABLE_INITIALIZERS

# What runs when a SavedModel is loaded: named by a collection, by later writers by a signature.
_INIT_COLLECTIONS = ("saved_model_main_op", "legacy_init_op")
_INIT_SIGNATURES = ("__saved_model_init_op",)

# What runs when its training goes on, likewise.
_TRAIN_COLLECTIONS = ("saved_model_train_op",)
_TRAIN_SIGNATURES = ("__saved_model_train_op",)

_FILLS_A_TABLE = frozenset(
    {
        "InitializeTable",
        "InitializeTableV2",
        "InitializeTableFromTextFile",
        "InitializeTableFromTextFileV2",
        "LookupTableImport",
        "LookupTableImportV2",
        "LookupTableInsert",
        "LookupTableInsertV2",
    }
)


def say_as_module(meta_graph: meta_graph_pb2.MetaGraphDef, subject: Subject) -> None:
    """Says in a module's terms what a SavedModel's graph says in its own, in place.

    What else is run when it is loaded, or when its training goes on, is left out.

    Raises:
        FormatError: what is run first names a node that is not there, or an asset
            leads outside.
    """
    _list_table_initializers(meta_graph, subject)
    for collection in (*_INIT_COLLECTIONS, *_TRAIN_COLLECTIONS):
        meta_graph.collection_def.pop(collection, None)
    for signature in (*_INIT_SIGNATURES, *_TRAIN_SIGNATURES):
        meta_graph.signature_def.pop(signature, None)
    _list_assets(meta_graph, subject)


def _list_table_initializers(meta_graph: meta_graph_pb2.MetaGraphDef, subject: Subject) -> None:
    """Adds to TABLE_INITIALIZERS what only the init op knew."""
    nodes = graph.nodes_by_name(meta_graph.graph_def)
    run_first = graph.upstream(nodes, _init_ops(meta_graph), subject=subject)
    filling = [name for name in nodes if name in run_first and nodes[name].op in _FILLS_A_TABLE]
    if not filling:
        return
    listed = meta_graph.collection_def[_TABLE_INITIALIZERS].node_list.value
    known = set(map(graph.node_name, listed))
    listed.extend(name for name in filling if name not in known)


def _init_ops(meta_graph: meta_graph_pb2.MetaGraphDef) -> list[str]:
    found = []
    for collection in _INIT_COLLECTIONS:
        if collection in meta_graph.collection_def:
            found.extend(meta_graph.collection_def[collection].node_list.value)
    for signature in _INIT_SIGNATURES:
        if signature in meta_graph.signature_def:
            outputs = meta_graph.signature_def[signature].outputs
            found.extend(info.name for info in outputs.values())
    return found


def _list_assets(meta_graph: meta_graph_pb2.MetaGraphDef, subject: Subject) -> None:
    """Lists all assets in the one collection, and forgets where they once lay."""
    collected = meta_graph.collection_def[layout.ASSETS_COLLECTION].any_list.value
    for entry in meta_graph.asset_file_def:
        collected.add().Pack(entry)
    meta_graph.ClearField("asset_file_def")
    if not collected:
        del meta_graph.collection_def[layout.ASSETS_COLLECTION]
        return
    nodes = graph.nodes_by_name(meta_graph.graph_def)
    for tensor, _ in module_folder.asset_entries(meta_graph, subject):
        node = nodes.get(graph.node_name(tensor))
        if node is not None and node.op == "Const":
            node.attr["value"].tensor.string_val[:] = [layout.ASSET_PATH]
