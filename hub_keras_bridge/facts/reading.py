"""From a handle to what the module there is. No graph is built and no weight is read."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from hub_keras_bridge.compat import tf_errors
from hub_keras_bridge.errors.redaction import redact
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.facts.saved_model import read_saved_model
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.files.fetch.resolve import resolve
from hub_keras_bridge.files.layout import VARIABLES_PREFIX
from hub_keras_bridge.files.module_folder import is_saved_model, read_module


def load_module_spec(path: Any) -> ModuleSpec:
    """Reads what a module is. Builds no graph and reads no weights.

    Args:
        path: what :func:`resolve` takes. A ModuleSpec is returned as it is.

    Raises:
        HandleError: the handle leads nowhere.
        DownloadError, ArchiveError, CacheError: the module could not be fetched.
        FormatError: what it leads to is no TF1 Hub module.
        CheckpointError: its variables have no values.

    Example:

    >>> import tempfile, tensorflow as tf, hub_keras_bridge as hub
    >>> def module_fn():
    ...     x = tf.compat.v1.placeholder(tf.float32, [None])
    ...     hub.add_signature(inputs=x, outputs=2 * x)
    >>> folder = tempfile.mkdtemp()
    >>> hub.create_module_spec(module_fn).export(folder)
    >>> load_module_spec(folder).get_signature_names()
    ['default']
    """
    if isinstance(path, ModuleSpec):
        return path
    return read_module_spec(resolve(path), redact(str(path)))


def read_module_spec(path: str, name: str) -> ModuleSpec:
    """Reads what the module in a folder is, as :func:`load_module_spec` does.

    Args:
        path: the folder, where a handle led.
        name: the module as messages call it.

    Raises:
        HandleError, FormatError, CheckpointError: as :func:`load_module_spec`.
    """
    spec = ModuleSpec(read_module(path, name))
    require_checkpoint(spec)
    return spec


def read_tf1_spec(
    path: str, name: str, tags: Collection[str] | None, *, all_variables: bool = False
) -> ModuleSpec:
    """Reads what the TF1 Hub module or the TF1 SavedModel in a folder is.

    Args:
        path: the folder, where a handle led.
        name: the module as messages call it.
        tags: those of the variant in use; of a SavedModel, None means what is served.
        all_variables: whether of a SavedModel those are kept, too, that have values and that
            no signature needs, such as an optimizer's.

    Raises:
        HandleError, FormatError, CheckpointError: as :func:`load_module_spec`.
        TagsError: no tags are given, and a SavedModel has several graphs and none for
            serving.
    """
    if not is_saved_model(path):
        return read_module_spec(path, name)
    spec = ModuleSpec(read_saved_model(path, name, tags, all_variables=all_variables))
    require_checkpoint(spec)
    return spec


def require_checkpoint(spec: ModuleSpec) -> None:
    """Checks that the variables of a module that was read have values.

    Without, they would take those of its initializers, which nobody published.

    Raises:
        CheckpointError: they have not.
    """
    if spec.files.checkpoint is None and any(
        facts.is_global and not spec.files.starts_anew(facts.name) for facts in spec.variables
    ):
        raise tf_errors.CheckpointError(
            f"Cannot read a {spec.subject.kind}: the values of its variables are missing.",
            spec.subject,
            expected=f"a checkpoint {VARIABLES_PREFIX}.index with "
            + choices(facts.name for facts in spec.variables),
            found="none",
            advice="fetch the module again; the copy is incomplete",
        )
