"""Publishing: from a TF1 SavedModel on disk to a ModuleSpec.

A SavedModel says more than a module may. What a reader of modules finds by other means is
said in the module's terms; of the rest, a publisher says what consumers can do without.
(How it was saved, ``saver_def``, stays: with it, the names of the ops that save a TF1 graph
with the module are other ones.)
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from hub_keras_bridge.errors import Subject
from hub_keras_bridge.facts.reading import require_checkpoint
from hub_keras_bridge.facts.saved_model import files_of, read_graphs
from hub_keras_bridge.facts.saved_model_terms import say_as_module
from hub_keras_bridge.facts.saved_model_variables import names_in_checkpoint
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.files import layout
from hub_keras_bridge.publishing.rules import check_collections, dropped_collections

# What training leaves in a SavedModel, besides. The variable itself stays.
_OF_TRAINING = (tf.compat.v1.GraphKeys.GLOBAL_STEP,)


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
    saved_model = read_graphs(path, subject)
    dropped = frozenset(dropped_collections(drop_collections, subject))
    saved_as: dict[str, str | None] = {}
    for meta_graph in saved_model.meta_graphs:
        variant = subject.with_tags(meta_graph.meta_info_def.tags)
        say_as_module(meta_graph, variant)
        _apply_rules(meta_graph, dropped, variant)
        names = names_in_checkpoint(meta_graph, variant)
        if any(other != own for own, other in names.items()):
            # Exports have the variables' own names.
            meta_graph.ClearField("saver_def")
        # The Saver of the first graph wrote the values of all.
        saved_as = names | saved_as
    spec = ModuleSpec(files_of(path, subject, saved_model, saved_as))
    require_checkpoint(spec)
    return spec


def _apply_rules(
    meta_graph: meta_graph_pb2.MetaGraphDef, dropped: Collection[str], subject: Subject
) -> None:
    """Leaves out what is dropped, in place; refuses what modules do not have."""
    # A module's publisher may not fill this collection; here it is filled already.
    own = {layout.ASSETS_COLLECTION}
    for collection in {*_OF_TRAINING, *dropped} - own:
        meta_graph.collection_def.pop(collection, None)
    check_collections(set(_filled_collections(meta_graph)) - own, subject)


def _filled_collections(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[str]:
    for name, collection in meta_graph.collection_def.items():
        kind = collection.WhichOneof("kind")
        if kind and getattr(collection, kind).value:
            yield name
