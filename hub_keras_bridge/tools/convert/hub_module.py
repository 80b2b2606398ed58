"""From a module, or the one in a Keras model, to a TF1 Hub module."""

from __future__ import annotations

import os
from collections.abc import Collection

import keras

from hub_keras_bridge.errors import ConversionError, FormatError, HubError, Subject
from hub_keras_bridge.errors.redaction import redact
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.facts.reading import load_module_spec
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.frontends.keras3.exported_modules import holds_tf1_module, module_layers
from hub_keras_bridge.frontends.keras3.module_layer import ModuleLayer
from hub_keras_bridge.plans.program import Programs
from hub_keras_bridge.plans.selection import select
from hub_keras_bridge.plans.trust import Trust, granting
from hub_keras_bridge.tools.convert.file_kinds import KERAS
from hub_keras_bridge.tools.convert.origin import Handle, Path
from hub_keras_bridge.tools.convert.preflight import require_all


def to_hub(
    handle: Handle,
    path: Path,
    *,
    signature: str | None = None,
    tags: Collection[str] | None = None,
    safe_mode: bool = True,
    trusted_ops: Collection[str] = (),
) -> None:
    """Writes a TF1 Hub module: a copy of one, or the one in a Keras model.

    Args:
        handle: the module, or a ``.keras`` file of a model with one
            :class:`ModuleLayer`, whose current weights are written.
        path: the folder to make.
        signature: not to be given; a module keeps all its signatures.
        tags: not to be given; a module keeps all its variants.
        safe_mode: whether to refuse a module that reaches outside its own graph.
        trusted_ops: names of ops that it may reach outside with even so, as an
            audit tells them.

    Raises:
        ConversionError: the model has no ModuleLayer, or several; a signature
            or tags were given.
        ExportError: the target is taken or cannot be written.
        FormatError: the file is no Keras model.
        UnsafeModuleError: safe mode refuses an op.
    """
    require_all(signature, tags, Subject(redact(str(handle)), tags, signature))
    if isinstance(handle, str | os.PathLike) and os.fspath(handle).endswith(KERAS.ending):
        with granting(trusted_ops):
            _only_module_layer(os.fspath(handle), safe_mode).export_module(path)
        return
    spec = load_module_spec(handle)
    if safe_mode:
        _require_safe(spec, Trust.of(safe_mode, trusted_ops))
    spec.export(os.fspath(path))


def _only_module_layer(file: str, safe_mode: bool) -> ModuleLayer:
    subject = Subject(file)
    try:
        model = keras.models.load_model(file, compile=False, safe_mode=safe_mode)
    except HubError:
        raise
    except Exception as error:  # Keras has no class of its own for this.
        raise FormatError(
            "Cannot read a Keras model.",
            subject,
            expected=f"a {KERAS.ending} file whose layers can be imported here",
            found=f"{type(error).__name__}: {error}",
            advice="in Python, load it with what it needs, and call the ModuleLayer's "
            "export_module(path)",
        ) from error
    layers = module_layers(model)
    found = [layer for layer in layers if holds_tf1_module(layer)]
    if len(found) != 1:
        raise ConversionError(
            "Cannot tell which layer of a Keras model to write as a TF1 Hub module.",
            subject,
            expected="one ModuleLayer made of a TF1 Hub module",
            found=f"{len(found)}: {choices(layer.name for layer in found)}"
            if found
            else f"TF2 SavedModels alone: {choices(layer.name for layer in layers)}"
            if layers
            else "none",
            advice="load the model in Python and call export_module(path) of the layer you mean"
            if found
            else "only what was a TF1 Hub module can be one again",
        )
    return found[0]


def _require_safe(spec: ModuleSpec, trust: Trust) -> None:
    """Checks all that a module can run.

    Raises:
        UnsafeModuleError: with the names of the nodes.
        UnknownOpError: TensorFlow lacks an op, so that nobody knows.
    """
    for tags in spec.get_tags():
        for name in spec.get_signature_names(tags):
            selection = select(
                spec,
                signature=name,
                output_key=None,
                as_dict=True,
                trainable_patterns=None,
                tags=tags,
                training_tags=tags,
            )
            selection.endpoints(Programs(spec), trust)
