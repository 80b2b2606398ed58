"""A TF2 SavedModel on its way through a Keras config and archive.

Keras restores a model from its config first, then the weights, then the
assets. So the config carries what a layer must know of the SavedModel, its
variables and the dtypes of its inputs; the archive has the rest of it among the
assets.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
import weakref
from collections.abc import Collection

import tensorflow as tf

from hub_keras_bridge.facts.checkpoint import OBJECT_GRAPH
from hub_keras_bridge.files.layout import SAVED_MODEL_FILE, VARIABLES_PREFIX
from hub_keras_bridge.frontends.keras3.tf2_facts import Facts
from hub_keras_bridge.frontends.tf2.restored_model import RestoredModel
from hub_keras_bridge.frontends.tf2.saved_model_file import SavedModelFile, subject_of


@dataclasses.dataclass(frozen=True, eq=False)
class SavedModelSource:
    """Where a SavedModel is, and what it is.

    Attributes:
        name: the SavedModel as messages call it.
        folder: where it is; None where a config is all there is.
        identity: a hash of its graphs.
        facts: what is known of it where it is not here.
        keepalive: owner of ``folder``, if that is temporary.
    """

    name: str
    folder: str | None
    identity: str
    facts: Facts | None = None
    keepalive: object = None


# Sources in use, so that a clone of a layer out of an archive finds its own.
_LIVE: weakref.WeakValueDictionary[str, SavedModelSource] = weakref.WeakValueDictionary()


def source_of(file: SavedModelFile, name: str, keepalive: object = None) -> SavedModelSource:
    """The source that a folder is; not shared yet.

    Args:
        file: its graphs.
        name: the SavedModel as messages call it.
        keepalive: owner of the folder, if that is temporary.
    """
    return SavedModelSource(name, file.folder, file.identity, keepalive=keepalive)


def share(source: SavedModelSource) -> None:
    """Lets configs that tell of a source find it, while it is in use."""
    _LIVE[source.identity] = source


def revive(identity: str, name: str, facts: Facts) -> SavedModelSource:
    """The source that a config tells of: in use, behind its name, or not here."""
    live = _LIVE.get(identity)
    if live is not None and os.path.isdir(live.folder or ""):
        return live
    if os.path.isfile(os.path.join(name, SAVED_MODEL_FILE)):
        found = source_of(SavedModelFile(name, subject_of(name)), name)
        if found.identity == identity:
            share(found)
            return found
    return SavedModelSource(name, None, identity, facts)


def copy_source(source: SavedModelSource, folder: str, *, with_values: bool) -> None:
    """Copies a SavedModel into an existing folder.

    Args:
        source: what to copy.
        folder: where to.
        with_values: whether its checkpoint is copied, too.
    """
    assert source.folder is not None
    _copy(source.folder, folder, set() if with_values else {os.path.dirname(VARIABLES_PREFIX)})


def kept_copy(folder: str) -> tempfile.TemporaryDirectory[str]:
    """A copy of a folder that will go; it lives as long as what is returned."""
    keepalive = tempfile.TemporaryDirectory(prefix="hub_keras_bridge_")
    _copy(folder, keepalive.name)
    return keepalive


def has_values(source: SavedModelSource) -> bool:
    """Whether a SavedModel has a checkpoint."""
    return tf.io.gfile.exists(_checkpoint(source) + ".index")


def count_of_values(source: SavedModelSource) -> int:
    """How many values the checkpoint of a SavedModel has.

    One for each variable; then those of mutable tables, of an optimizer, and others.
    """
    entries = dict(tf.train.list_variables(_checkpoint(source)))
    return len(entries.keys() - {OBJECT_GRAPH})


def write_values(source: SavedModelSource, model: RestoredModel) -> None:
    """Gives a SavedModel a checkpoint with the values that its variables have now."""
    tf.train.Checkpoint(root=model.restored).write(_checkpoint(source))


def _checkpoint(source: SavedModelSource) -> str:
    assert source.folder is not None
    return os.path.join(source.folder, VARIABLES_PREFIX)


def _copy(source: str, target: str, leave_out: Collection[str] = ()) -> None:
    for parent, _, files in tf.io.gfile.walk(source):
        place = os.path.relpath(parent, source)
        if place in leave_out:
            continue
        inside = os.path.join(target, place)
        tf.io.gfile.makedirs(inside)
        for file in files:
            tf.io.gfile.copy(os.path.join(parent, file), os.path.join(inside, file), overwrite=True)
