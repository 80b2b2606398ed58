"""Where a checkpoint is, and a way to it that TensorFlow does not take for another thing."""

from __future__ import annotations

import os
import tempfile

import tensorflow as tf

from hub_keras_bridge.errors import CheckpointError, Subject
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.files import paths


def prefix_of(
    checkpoint_path: str | bytes | os.PathLike[str] | None, subject: Subject
) -> str | None:
    """Where the checkpoint is that a caller means: of a folder, the latest one.

    Raises:
        CheckpointError: the folder has none.
    """
    prefix = os.fsdecode(checkpoint_path or "")
    if not prefix or not tf.io.gfile.isdir(prefix):
        return prefix or None
    latest = tf.train.latest_checkpoint(prefix) or _latest_of_moved(prefix)
    if latest is None:
        raise CheckpointError(
            "Cannot read the checkpoint of a TF1 Hub module: the folder has no latest checkpoint.",
            subject,
            expected=f"a file {os.path.join(prefix, 'checkpoint')} that names one",
            found=choices(tf.io.gfile.listdir(prefix), limit=10),
            advice="pass the path that was given to Saver.save(), with the step behind it",
        )
    return latest


def _latest_of_moved(folder: str) -> str | None:
    """The latest checkpoint of a folder that was written as another one.

    A Saver notes the whole path of what it writes.
    """
    state = tf.train.get_checkpoint_state(folder)
    if state is None:
        return None
    prefix = os.path.join(folder, os.path.basename(state.model_checkpoint_path))
    # In TensorFlow's first format, one file has all.
    return prefix if any(map(tf.io.gfile.exists, (f"{prefix}.index", prefix))) else None


def without_wildcards(prefix: str) -> tuple[tempfile.TemporaryDirectory[str] | None, str]:
    """A prefix without wildcard characters, and what must live as long as it."""
    folder, name = os.path.split(os.path.abspath(prefix))
    if not set(prefix) & set("*?[]\\") or not os.path.isdir(folder):
        return None, prefix
    alias = tempfile.TemporaryDirectory(prefix="hub_keras_bridge_")
    link = os.path.join(alias.name, "variables")
    os.symlink(folder, link)
    return alias, os.path.join(link, name)


def copied(prefix: str) -> tuple[tempfile.TemporaryDirectory[str], str]:
    """The folder of a copy of a checkpoint, and the prefix of the copy."""
    folder, name = os.path.split(prefix)
    copy = tempfile.TemporaryDirectory(prefix="hub_keras_bridge_")
    for file in paths.names_in(folder):
        if file.startswith(f"{name}."):
            paths.copy(f"{folder}/{file}", os.path.join(copy.name, file))
    return copy, os.path.join(copy.name, name)
