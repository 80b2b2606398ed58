"""The values that a TF1 program gave a module's variables, read from its checkpoints."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import tensorflow as tf

from hub_keras_bridge.errors import CheckpointError
from hub_keras_bridge.facts.checkpoint import Checkpoint
from hub_keras_bridge.facts.checkpoint_paths import prefix_of
from hub_keras_bridge.facts.checkpoint_scopes import scope_of
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.facts.variables import VariableFacts
from hub_keras_bridge.running.first_values import read_ahead


def trained_values(
    spec: ModuleSpec,
    checkpoint_path: str | bytes | os.PathLike[str],
    name_transform_fn: Callable[[str], str] | None,
) -> Iterator[tuple[VariableFacts, tf.Tensor]]:
    """Each variable with its value, for the caller to keep and take the next.

    Args:
        spec: the module.
        checkpoint_path: a checkpoint's prefix, or a folder, whose latest it is then.
        name_transform_fn: TF1 name of a variable in the module -> its name in the
            checkpoint; None to look for the scope that has all of them.

    Raises:
        CheckpointError: it cannot be read, or has no or more than one value for a variable.
    """
    if not spec.saved_variables:
        return
    prefix = prefix_of(checkpoint_path, spec.subject)
    if prefix is None:
        raise CheckpointError(
            "Cannot read the checkpoint of a TF1 Hub module: the path is empty.",
            spec.subject,
            expected="the path that was given to Saver.save(), or its folder",
            found=repr(checkpoint_path),
            advice="pass this path",
        )
    checkpoint = Checkpoint(prefix, spec.subject, name_transform_fn or (lambda name: name))
    if name_transform_fn is None:
        checkpoint = checkpoint.under(scope_of(spec.saved_variables, checkpoint))
    yield from read_ahead(checkpoint, spec.variables_in(checkpoint))
