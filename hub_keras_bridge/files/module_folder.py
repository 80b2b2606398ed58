"""The bytes of a TF1 Hub module on disk, as protos, and back.

What lies where, and the two messages that only modules have, is in ``layout``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from hub_keras_bridge.compat import tf_errors
from hub_keras_bridge.errors import FormatError, HandleError, Subject, damaged
from hub_keras_bridge.files.assets import own_file
from hub_keras_bridge.files.diagnosis import diagnose, kind_of_file
from hub_keras_bridge.files.layout import (
    ASSETS_COLLECTION,
    ATTACHMENTS_COLLECTION,
    FORMAT_V3,
    HUB_MODULE,
    MODULE_FILE,
    SAVED_MODEL_FILE,
    TF1_SAVED_MODEL,
    VARIABLES_PREFIX,
    ModuleAttachment,
    ModuleDef,
    safe_asset_name,
)
from hub_keras_bridge.files.messages import read_message


@dataclass(frozen=True, eq=False)
class ModuleFiles:
    """All that a module is made of, wherever its parts lie.

    Attributes:
        name: the module as error messages call it.
        saved_model: the graphs, one MetaGraphDef per variant.
        checkpoint: prefix of the variables' checkpoint; None without one.
        assets: name below ``assets/`` -> path of the file with its content.
        keepalive: owner of temporary files that ``assets`` names, if any.
        facts_only: whether the graphs were left out, so that signatures and
            variables can be read but nothing run.
        made_here: whether this program made the graphs, so that their
            initializers are its own.
        kind: what it was read from, for messages.
        saved_as: name of a variable -> its name in the checkpoint, if that may be another;
            None of one that is not there, and starts from its initializer.
    """

    name: str
    saved_model: saved_model_pb2.SavedModel
    checkpoint: str | None = None
    assets: Mapping[str, str] = field(default_factory=dict)
    keepalive: object = None
    facts_only: bool = False
    made_here: bool = False
    kind: str = HUB_MODULE
    saved_as: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def is_saved_model(self) -> bool:
        """Whether it is a TF1 SavedModel, which names signatures and tags in its own way."""
        return self.kind == TF1_SAVED_MODEL

    def name_in_checkpoint(self, name: str) -> str:
        """The name that the checkpoint has for a variable."""
        return self.saved_as.get(name) or name

    def starts_anew(self, name: str) -> bool:
        """Whether a variable starts from its initializer, though there is a checkpoint."""
        return name in self.saved_as and self.saved_as[name] is None


def read_module(path: str, name: str | None = None) -> ModuleFiles:
    """Reads a module directory. Builds no graph and reads no weights.

    Args:
        path: the directory, on any file system that TensorFlow knows.
        name: what messages call the module; by default, ``path``.

    Raises:
        HandleError: there is no such directory.
        FormatError: it is no TF1 Hub module, or one that needs what this
            package does not have.
    """
    subject = Subject(name or path)
    if not tf.io.gfile.isdir(path):
        raise HandleError(
            "Cannot read a TF1 Hub module: there is no such directory.",
            subject,
            expected=f"a directory with {MODULE_FILE} and {SAVED_MODEL_FILE}",
            found=kind_of_file(path),
            advice="check the path; an unpacked module is the folder that has these two files",
        )
    _check_module_def(path, subject)
    file = os.path.join(path, SAVED_MODEL_FILE)
    saved_model = read_message(file, saved_model_pb2.SavedModel, subject)
    if not saved_model.meta_graphs:
        raise FormatError(
            f"Cannot read a TF1 Hub module: {SAVED_MODEL_FILE} has no graph in it.",
            subject,
            expected="one MetaGraphDef per variant",
            found="none",
            advice="fetch the module again; the file is cut short or empty",
        )
    assets = asset_files(path, saved_model, subject)
    prefix = os.path.join(path, VARIABLES_PREFIX)
    return ModuleFiles(
        name=name or path,
        saved_model=saved_model,
        checkpoint=prefix if tf.io.gfile.exists(prefix + ".index") else None,
        assets=assets,
    )


def is_saved_model(path: str) -> bool:
    """Whether a folder is a SavedModel and no TF1 Hub module."""
    has_module_file, has_graphs = (
        tf.io.gfile.exists(os.path.join(path, name)) for name in (MODULE_FILE, SAVED_MODEL_FILE)
    )
    return has_graphs and not has_module_file


def has_checkpoint(files: ModuleFiles) -> bool:
    """Whether the checkpoint is where it was, or there never was one."""
    return files.checkpoint is None or tf.io.gfile.exists(files.checkpoint + ".index")


def asset_files(
    path: str, saved_model: saved_model_pb2.SavedModel, subject: Subject
) -> dict[str, str]:
    """Name below ``assets/`` -> file, of all assets that a SavedModel lists.

    Args:
        path: the folder that ``assets/`` is in.
        saved_model: what was read from there.
        subject: for messages.

    Raises:
        FormatError: one leads outside, or is missing.
    """
    names = {
        name: None
        for meta_graph in saved_model.meta_graphs
        for _, name in asset_entries(meta_graph, subject)
    }
    return {name: own_file(path, name, subject) for name in names}


def asset_entries(
    meta_graph: meta_graph_pb2.MetaGraphDef, subject: Subject
) -> Iterator[tuple[str, str]]:
    """Pairs (name of the string tensor, file name below ``assets/``).

    Raises:
        FormatError: a file name leads outside ``assets/``.
    """
    if ASSETS_COLLECTION not in meta_graph.collection_def:
        return
    for packed in meta_graph.collection_def[ASSETS_COLLECTION].any_list.value:
        entry = meta_graph_pb2.AssetFileDef()
        try:
            is_asset = packed.Unpack(entry)
        except DecodeError:
            is_asset = False
        if not is_asset:
            raise FormatError(
                f"Cannot read collection {ASSETS_COLLECTION!r} of a TF1 Hub module.",
                subject,
                expected="tensorflow.AssetFileDef messages",
                found=packed.type_url or "an untyped message",
                advice="fetch the module again; the file is damaged",
            )
        yield entry.tensor_info.name, safe_asset_name(entry.filename, subject)


def attachments(meta_graph: meta_graph_pb2.MetaGraphDef, subject: Subject) -> dict[str, bytes]:
    """Key -> serialized message of all that is attached to a variant.

    Raises:
        FormatError: the collection is damaged.
    """
    if ATTACHMENTS_COLLECTION not in meta_graph.collection_def:
        return {}
    values = meta_graph.collection_def[ATTACHMENTS_COLLECTION].bytes_list.value
    try:
        messages = [ModuleAttachment.FromString(value) for value in values]
    except DecodeError as error:
        raise damaged(
            f"Cannot read collection {ATTACHMENTS_COLLECTION!r} of a TF1 Hub module.",
            subject,
            expected="pairs of a key and a message",
            found=str(error),
        ) from error
    return {message.key: message.value for message in messages}


def _check_module_def(path: str, subject: Subject) -> None:
    file = os.path.join(path, MODULE_FILE)
    if not tf.io.gfile.exists(file):
        found, advice = diagnose(path)
        raise tf_errors.FormatError(
            f"Cannot read a TF1 Hub module: {MODULE_FILE} is missing.",
            subject,
            expected=f"{MODULE_FILE} and {SAVED_MODEL_FILE}",
            found=found,
            advice=advice,
        )
    module_def = read_message(file, ModuleDef, subject)
    if module_def.format != FORMAT_V3:
        raise FormatError(
            f"Cannot read a TF1 Hub module: {MODULE_FILE} names an unknown format.",
            subject,
            expected=f"format {FORMAT_V3}",
            found=f"format {module_def.format}",
            advice="fetch the module again, or look for a newer release of hub_keras_bridge",
        )
    if module_def.required_features:
        raise FormatError(
            "Cannot read a TF1 Hub module: it requires features that no reader knows.",
            subject,
            expected="no required features",
            found=", ".join(map(repr, module_def.required_features)),
            advice="look for a newer release of hub_keras_bridge, or another version of the module",
        )
