"""From a module to a TF2 SavedModel."""

from __future__ import annotations

import os
from collections.abc import Collection

import tensorflow as tf

from hub_keras_bridge.facts.reading import load_module_spec
from hub_keras_bridge.files import exporting
from hub_keras_bridge.plans.trust import Trust
from hub_keras_bridge.tools.convert.origin import Handle, Path, loaded

_SERVING = tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY


def to_saved_model(
    handle: Handle,
    path: Path,
    *,
    signature: str | None = None,
    tags: Collection[str] | None = None,
    safe_mode: bool = True,
    trusted_ops: Collection[str] = (),
) -> None:
    """Writes a TF2 SavedModel that can be served and fine-tuned.

    It has the reusable SavedModel interface (see :func:`load`), all of the
    variant's signatures under their names, and as ``serving_default`` the one
    that a call runs.

    Args:
        handle: the module.
        path: the folder to make.
        signature: what a call runs; ``"default"`` if None.
        tags: which variant; the empty set if None.
        safe_mode: whether to refuse a module that reaches outside its own graph.
        trusted_ops: names of ops that it may reach outside with even so, as an
            audit tells them.

    Raises:
        ExportError: the target is taken or cannot be written.
        HubError: what :func:`load` raises.
    """
    spec = load_module_spec(handle)
    with exporting.new_directory(os.fspath(path), spec.subject) as folder:
        module = loaded(spec, tags, signature, Trust.of(safe_mode, trusted_ops))
        tf.saved_model.save(module, folder, {_SERVING: module.serve, **module.signatures})
