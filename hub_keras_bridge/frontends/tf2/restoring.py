"""Loads a TF2 SavedModel: looked at first, and then as it was looked at."""

from __future__ import annotations

from collections.abc import Collection

import tensorflow as tf

from hub_keras_bridge.errors import Subject, TagsError
from hub_keras_bridge.errors.words import show_tags
from hub_keras_bridge.files.assets import own_file
from hub_keras_bridge.files.layout import safe_asset_name
from hub_keras_bridge.frontends.tf2.looked_at import as_looked_at
from hub_keras_bridge.frontends.tf2.objects import check_objects
from hub_keras_bridge.frontends.tf2.restored_graph import plan_of_calls, what_may_run
from hub_keras_bridge.frontends.tf2.restored_model import RestoredModel, load_restored
from hub_keras_bridge.frontends.tf2.saved_model_file import SavedModelFile
from hub_keras_bridge.graphs.calls import check_calls
from hub_keras_bridge.graphs.ops.unregistered import need_registered
from hub_keras_bridge.graphs.refusing import refusing
from hub_keras_bridge.plans import safe_mode
from hub_keras_bridge.plans.trust import Trust

_DAMAGED = (
    "Cannot load a TF2 SavedModel.",
    "functions and objects that this TensorFlow can restore",
)


def restore(
    file: SavedModelFile,
    tags: Collection[str] | None,
    *,
    signature: str | None,
    trust: Trust,
    options: tf.saved_model.LoadOptions | None = None,
) -> RestoredModel:
    """Loads a TF2 SavedModel.

    Args:
        file: its graphs, and where they are.
        tags: those it was saved with, or None.
        signature: what a call runs; None for the model's own ``__call__``, or,
            if it has none, ``serving_default`` or the only signature.
        trust: what may reach outside its own graph.
        options: TensorFlow's, of how it loads.

    Raises:
        FormatError: it is damaged, or an asset's name leads outside its folder.
        TagsError: it was saved with other tags.
        SignatureError: there is no such signature.
        UnsafeModuleError: an op that is not trusted may reach outside.
    """
    path, subject, meta_graph = file.folder, file.subject, file.meta_graph
    own_tags = frozenset(meta_graph.meta_info_def.tags)
    if tags is not None and frozenset(tags) != own_tags:
        raise TagsError(
            f"A TF2 SavedModel has no graph with tags {show_tags(tags)}.",
            subject,
            expected=show_tags(own_tags),
            found=show_tags(tags),
            advice="leave the tags out; it has one graph only, for inference and training",
        )
    for asset in meta_graph.asset_file_def:
        name = safe_asset_name(asset.filename, subject)
        own_file(path, name, subject)
    with refusing(subject, *_DAMAGED):
        if trust.everything:
            return RestoredModel(load_restored(path, subject, options), signature, subject)
        check_objects(meta_graph)
        loaded = what_may_run(meta_graph)
        calls = plan_of_calls(loaded, subject)
        safe_mode.require_safe([calls], subject, trust)
        need_registered(calls.graph_def, subject)
        check_calls(calls.graph_def, apart=True)
        with as_looked_at(path, loaded) as folder:
            return RestoredModel(load_restored(folder, subject, options), signature, subject)


def no_variants(subject: Subject, training_tags: Collection[str]) -> TagsError:
    """The error about a variant for training, which a TF2 SavedModel has not."""
    return TagsError(
        "A TF2 SavedModel has no variant for training.",
        subject,
        expected="no training_tags",
        found=show_tags(training_tags),
        advice="leave training_tags out; its own __call__ knows what training changes",
    )
