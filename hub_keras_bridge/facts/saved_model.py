"""Reading a TF1 SavedModel: what an Estimator, ``simple_save`` or a Builder of TensorFlow 1 wrote.

It is a module's graphs and values in other terms, among much that training left there and
that no call needs: collections of all kinds, an optimizer's variables, counters.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from hub_keras_bridge.compat import tf_errors
from hub_keras_bridge.errors import FormatError, Subject
from hub_keras_bridge.facts.saved_model_tables import fill_with_constants
from hub_keras_bridge.facts.saved_model_terms import say_as_module
from hub_keras_bridge.facts.saved_model_variables import choose_variables
from hub_keras_bridge.facts.served import served_tags
from hub_keras_bridge.facts.tags import as_tags
from hub_keras_bridge.files import layout, module_folder
from hub_keras_bridge.files.messages import read_message
from hub_keras_bridge.graphs import collections

_READ = collections.READ | {layout.ASSETS_COLLECTION, layout.ATTACHMENTS_COLLECTION}


def read_saved_model(
    path: str, name: str, tags: Collection[str] | None, *, all_variables: bool
) -> module_folder.ModuleFiles:
    """Reads a TF1 SavedModel. Builds no graph and reads no weights, but entries of tables.

    Collections that no call reads are left out, whatever they hold. So are variables that
    neither a signature needs nor the SavedModel has values for. Local variables that a
    signature needs start from their initializers, as those of a session do.

    Args:
        path: the folder, on any file system that TensorFlow knows.
        name: what messages call it.
        tags: those of the graph in use, whose Saver tells where values are; None for
            the one that is served.
        all_variables: whether all variables of that graph are kept that have values, though
            no signature needs them, such as an optimizer's.

    Raises:
        HandleError: there is no such folder.
        FormatError: it holds no TF1 SavedModel, or a damaged one.
        CheckpointError: the entries of a table are damaged.
        TagsError: no tags are given, and it has several graphs and none for serving.
    """
    subject = Subject(name, kind=layout.TF1_SAVED_MODEL)
    saved_model = read_graphs(path, subject)
    prefix = _checkpoint(path)
    all_saved = all_variables and prefix is not None
    tags_of_each = [frozenset(each.meta_info_def.tags) for each in saved_model.meta_graphs]
    in_use = served_tags(tags_of_each, subject) if tags is None else as_tags(tags)
    saved_as: dict[str, str | None] = {}
    for own_tags, meta_graph in zip(tags_of_each, saved_model.meta_graphs, strict=True):
        variant = subject.with_tags(own_tags)
        say_as_module(meta_graph, variant)
        if prefix is not None:
            fill_with_constants(meta_graph, prefix, variant)
        is_used = own_tags == in_use
        found = choose_variables(meta_graph, variant, all_saved=all_saved and is_used)
        saved_as = saved_as | found if is_used else found | saved_as
        for key in set(meta_graph.collection_def) - _READ:
            del meta_graph.collection_def[key]
        # It would restore what is left out, by names that an export does not have.
        meta_graph.ClearField("saver_def")
    return files_of(path, subject, saved_model, saved_as)


def read_graphs(path: str, subject: Subject) -> saved_model_pb2.SavedModel:
    """The graphs of a TF1 SavedModel as they lie in its folder.

    Raises:
        HandleError: there is no such folder.
        FormatError: it holds no TF1 SavedModel; a TF2 SavedModel is none.
    """
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


def files_of(
    path: str,
    subject: Subject,
    saved_model: saved_model_pb2.SavedModel,
    saved_as: Mapping[str, str | None],
) -> module_folder.ModuleFiles:
    """Graphs in a module's terms, with the values and assets of the SavedModel that they are of.

    Args:
        path: its folder.
        subject: what messages call it, and what it is.
        saved_model: the graphs.
        saved_as: as :class:`ModuleFiles` has it.

    Raises:
        FormatError: an asset leads outside, or is missing.
    """
    return module_folder.ModuleFiles(
        name=subject.module or path,
        saved_model=saved_model,
        checkpoint=_checkpoint(path),
        assets=module_folder.asset_files(path, saved_model, subject),
        kind=subject.kind,
        saved_as=saved_as,
    )


def _checkpoint(path: str) -> str | None:
    prefix = os.path.join(path, layout.VARIABLES_PREFIX)
    return prefix if tf.io.gfile.exists(prefix + ".index") else None
