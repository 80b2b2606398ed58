"""Publishing: from a TF1 SavedModel on disk to a ModuleSpec.

A SavedModel says more than a module may: what to run when it is loaded
(``saved_model_main_op``, earlier ``legacy_init_op``), where its assets lay when
it was written. What a reader of modules finds by other means is left out; the
rest is said in the module's terms. (How it was saved, ``saver_def``, stays: with
it, the names of the ops that save a TF1 graph with the module are other ones.)
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from hub_keras_bridge.compat import tf_errors
from hub_keras_bridge.errors import FormatError, Subject
from hub_keras_bridge.facts.reading import require_checkpoint
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.files import layout, module_folder
from hub_keras_bridge.files.messages import read_message
from hub_keras_bridge.graphs import graph
from hub_keras_bridge.publishing.meta_graph import ASSET_PATH
from hub_keras_bridge.publishing.rules import check_collections, dropped_collections

_TABLE_INITIALIZERS = tf.compat.v1.GraphKeys.TABLE_INITIALIZERS

# What runs when a SavedModel is loaded, and when its training starts: named by
# a collection, by later writers by a signature.
_INIT_COLLECTIONS = ("saved_model_main_op", "legacy_init_op", "saved_model_train_op")
_INIT_SIGNATURES = ("__saved_model_init_op", "__saved_model_train_op")

# What training leaves in a SavedModel, besides. The variable itself stays.
_OF_TRAINING = (tf.compat.v1.GraphKeys.GLOBAL_STEP,)

_FILLS_A_TABLE = frozenset(
    {
        "InitializeTable",
        "InitializeTableV2",
        "InitializeTableFromTextFile",
        "InitializeTableFromTextFileV2",
        "LookupTableImport",
        "LookupTableImportV2",
    }
)


def create_module_spec_from_saved_model(
    saved_model_path: str | bytes | os.PathLike[str],
    drop_collections: Iterable[str] | None = None,
) -> ModuleSpec:
    """Makes a module of a TF1 SavedModel.

    Each of its graphs becomes a variant under the same tags, with the same
    signatures: what was saved for serving usually is called by ``tags={"serve"}``
    and ``signature="serving_default"``. The spec refers to the SavedModel's
    variables and assets where they are; ``export`` copies them.

    Args:
        saved_model_path: the folder that ``tf.compat.v1.saved_model`` wrote.
        drop_collections: graph collections to leave out, besides ``global_step``
            and those that name ops to be run when a SavedModel is loaded.

    Returns:
        A spec with the saved variables as values.

    Raises:
        HandleError: there is no such folder.
        FormatError: it holds no TF1 SavedModel; a TF2 SavedModel is none.
        PublishError: a graph has a collection that the format does not have.
        CheckpointError: its variables have no values.

    Example:

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "saved_model")
    >>> with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    ...     x = tf.compat.v1.placeholder(tf.float32, [None])
    ...     y = x / 2 + 2
    ...     tf.compat.v1.saved_model.simple_save(session, path, {"x": x}, {"y": y})
    >>> spec = create_module_spec_from_saved_model(path)
    >>> spec.get_tags(), spec.get_signature_names({"serve"})
    ([frozenset({'serve'})], ['serving_default'])
    """
    path = os.fsdecode(saved_model_path)
    subject = Subject(path)
    saved_model = _read(path, subject)
    dropped = frozenset(dropped_collections(drop_collections, subject))
    for meta_graph in saved_model.meta_graphs:
        _to_variant(meta_graph, dropped, subject.with_tags(meta_graph.meta_info_def.tags))
    prefix = os.path.join(path, layout.VARIABLES_PREFIX)
    spec = ModuleSpec(
        module_folder.ModuleFiles(
            name=path,
            saved_model=saved_model,
            checkpoint=prefix if tf.io.gfile.exists(prefix + ".index") else None,
            assets=module_folder.asset_files(path, saved_model, subject),
        )
    )
    require_checkpoint(spec)
    return spec


def _read(path: str, subject: Subject) -> saved_model_pb2.SavedModel:
    if not tf.io.gfile.isdir(path):
        raise tf_errors.HandleError(
            "Cannot read a TF1 SavedModel: there is no such directory.",
            subject,
            expected=f"a directory with {layout.SAVED_MODEL_FILE}",
            found="a file" if tf.io.gfile.exists(path) else "nothing at this path",
            advice="pass the folder that the SavedModel was written to",
        )
    file = os.path.join(path, layout.SAVED_MODEL_FILE)
    if not tf.io.gfile.exists(file):
        raise tf_errors.FormatError(
            f"Cannot read a TF1 SavedModel: {layout.SAVED_MODEL_FILE} is missing.",
            subject,
            expected=f"a file {file}",
            found=", ".join(sorted(tf.io.gfile.listdir(path))[:10]) or "an empty directory",
            advice="pass the folder that has this file; one saved with as_text=True is to be "
            "loaded and saved again without",
        )
    saved_model = read_message(
        file,
        saved_model_pb2.SavedModel,
        subject,
        of="TF1 SavedModel",
        advice="save the model again",
    )
    _check_is_tf1(saved_model, subject)
    return saved_model


def _check_is_tf1(saved_model: saved_model_pb2.SavedModel, subject: Subject) -> None:
    if any(meta_graph.HasField("object_graph_def") for meta_graph in saved_model.meta_graphs):
        raise FormatError(
            "Cannot make a TF1 Hub module of a TF2 SavedModel.",
            subject,
            expected="a SavedModel that TensorFlow 1 or tf.compat.v1.saved_model wrote",
            found="what tf.saved_model.save or model.export wrote: its graph lists no variables",
            advice="use it as it is, with hub.load or hub.ModuleLayer",
        )
    if not saved_model.meta_graphs:
        raise FormatError(
            f"Cannot read a TF1 SavedModel: {layout.SAVED_MODEL_FILE} has no graph in it.",
            subject,
            expected="at least one MetaGraphDef",
            found="none",
            advice="save the model again; the file is cut short or empty",
        )


def _to_variant(
    meta_graph: meta_graph_pb2.MetaGraphDef, dropped: Collection[str], subject: Subject
) -> None:
    """Turns a SavedModel's graph into a module's, in place."""
    _list_table_initializers(meta_graph, subject)
    for collection in (*_INIT_COLLECTIONS, *_OF_TRAINING, *dropped):
        meta_graph.collection_def.pop(collection, None)
    for signature in _INIT_SIGNATURES:
        meta_graph.signature_def.pop(signature, None)
    # A module's publisher may not fill this collection; here it is filled already.
    own = {layout.ASSETS_COLLECTION}
    check_collections(set(_filled_collections(meta_graph)) - own, subject)
    _list_assets(meta_graph, subject)


def _filled_collections(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[str]:
    for name, collection in meta_graph.collection_def.items():
        kind = collection.WhichOneof("kind")
        if kind and getattr(collection, kind).value:
            yield name


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
            node.attr["value"].tensor.string_val[:] = [ASSET_PATH]
