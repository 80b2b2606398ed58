"""Conversions: from a module to what TensorFlow 2, Keras, TensorFlow Lite or TF1 load.

Each function writes one thing, whole or not at all, and never overwrites. What
it writes needs the module's folder no more.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from typing import Any, TypeAlias

import keras
import tensorflow as tf

from hub_keras_bridge.errors import ConversionError, FormatError, HubError, Subject, choices
from hub_keras_bridge.errors.urls import redact
from hub_keras_bridge.facts.spec import ModuleSpec, load_module_spec
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.facts.variant import DEFAULT_KEY, DEFAULT_SIGNATURE
from hub_keras_bridge.files import module_writing
from hub_keras_bridge.frontends.keras3.exported_modules import holds_tf1_module, module_layers
from hub_keras_bridge.frontends.keras3.module_layer import ModuleLayer
from hub_keras_bridge.frontends.tf2.load import load
from hub_keras_bridge.frontends.tf2.loaded_module import LoadedModule
from hub_keras_bridge.plans.selection import select
from hub_keras_bridge.plans.trust import Trust, granting
from hub_keras_bridge.running.place import need_eager_execution
from hub_keras_bridge.tools.convert.preflight import KERAS_ENDING, require_all, require_keras_ending
from hub_keras_bridge.tools.convert.tflite import select_ops, tflite_model

Handle: TypeAlias = str | os.PathLike[str] | ModuleSpec
Path: TypeAlias = str | os.PathLike[str]

_CANNOT_WRITE = "Cannot write what a TF1 Hub module was converted to."
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
    with module_writing.new_directory(os.fspath(path), spec.subject) as folder:
        module = _load(spec, tags, signature, Trust.of(safe_mode, trusted_ops))
        tf.saved_model.save(module, folder, {_SERVING: module.serve, **module.signatures})


def to_keras(
    handle: Handle,
    path: Path,
    *,
    signature: str | None = None,
    tags: Collection[str] | None = None,
    safe_mode: bool = True,
    trusted_ops: Collection[str] = (),
) -> None:
    """Writes a Keras model around one :class:`ModuleLayer`.

    A functional model whose inputs have the signature's names; it returns the
    output ``"default"``, or all by name where there is none. The layer is frozen;
    ``model.layers[-1].trainable = True`` before ``compile`` lets it be fine-tuned.

    Args:
        handle: the module.
        path: the ``.keras`` file to make.
        signature: what the model runs; ``"default"`` if None.
        tags: which variant; the empty set if None.
        safe_mode: whether to refuse a module that reaches outside its own graph.
        trusted_ops: names of ops that it may reach outside with even so, as an
            audit tells them.

    Raises:
        ConversionError: the signature has inputs that Keras models have not, or
            none.
        ExportError: the target is taken, has another ending or cannot be written.
        HubError: what :class:`ModuleLayer` raises.
    """
    spec = load_module_spec(handle)
    require_keras_ending(path, spec.subject)
    with module_writing.new_file(path, spec.subject, _CANNOT_WRITE) as file:
        facts = spec.variant(tags).signature(signature)
        layer = ModuleLayer(
            spec,
            signature=signature,
            as_dict=DEFAULT_KEY not in facts.outputs,
            tags=tags,
            safe_mode=safe_mode,
            trusted_ops=trusted_ops,
        )
        subject = _subject(spec, tags, signature)
        inputs = {name: _keras_input(name, info, subject) for name, info in facts.inputs.items()}
        if not inputs:
            raise ConversionError(
                "Cannot make a Keras model of a TF1 Hub module: the signature has no input.",
                subject,
                expected="at least one",
                found="none",
                advice="call a ModuleLayer or what load() returns without arguments",
            )
        given = inputs if len(inputs) > 1 else next(iter(inputs.values()))
        keras.Model(given, layer(given)).save(file)


def to_tflite(
    handle: Handle,
    path: Path,
    *,
    signature: str | None = None,
    tags: Collection[str] | None = None,
    safe_mode: bool = True,
    trusted_ops: Collection[str] = (),
) -> list[str]:
    """Writes a TensorFlow Lite model of one signature, vocabularies inside.

    Ops that TensorFlow Lite lacks are taken from TensorFlow ("select TF ops").
    An interpreter needs the flex delegate for them, which the one in
    TensorFlow's Python package had in 2.16 and has no more in 2.21.

    Args:
        handle: the module.
        path: the file to make.
        signature: which signature; ``"default"`` if None. It has this name in
            the file, too.
        tags: which variant; the empty set if None.
        safe_mode: whether to refuse a module that reaches outside its own graph.
        trusted_ops: names of ops that it may reach outside with even so, as an
            audit tells them.

    Returns:
        The names of the ops taken from TensorFlow.

    Raises:
        ConversionError: an op is known to neither.
        ExportError: the target is taken or cannot be written.
        HubError: what :func:`load` raises.
    """
    spec = load_module_spec(handle)
    with module_writing.new_file(path, spec.subject, _CANNOT_WRITE) as file:
        module = _load(spec, tags, signature, Trust.of(safe_mode, trusted_ops))
        model = tflite_model(
            module, signature or DEFAULT_SIGNATURE, _subject(spec, tags, signature)
        )
        with open(file, "wb") as stream:
            stream.write(model)
    return select_ops(model)


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
    if isinstance(handle, str | os.PathLike) and os.fspath(handle).endswith(KERAS_ENDING):
        with granting(trusted_ops):
            _only_module_layer(os.fspath(handle), safe_mode).export_module(path)
        return
    spec = load_module_spec(handle)
    if safe_mode:
        _require_safe(spec, Trust.of(safe_mode, trusted_ops))
    spec.export(os.fspath(path))


# What to convert to -> how; all take the same arguments.
CONVERSIONS: dict[str, Callable[..., list[str] | None]] = {
    "savedmodel": to_saved_model,
    "keras": to_keras,
    "tflite": to_tflite,
    "hub": to_hub,
}


def _load(
    spec: ModuleSpec, tags: Collection[str] | None, signature: str | None, trust: Trust
) -> LoadedModule:
    need_eager_execution(
        "Cannot convert a TF1 Hub module in a TF1 graph.",
        spec.subject,
        functions="TensorFlow 2",
        advice="convert it outside the graph",
    )
    # What a call runs must be there, while load() does without.
    spec.variant(tags).signature(signature)
    module = load(spec, tags, signature=signature, **trust.to_config())
    assert isinstance(module, LoadedModule)
    return module


def _subject(spec: ModuleSpec, tags: Collection[str] | None, signature: str | None) -> Subject:
    return spec.variant(tags).subject.with_signature(signature or DEFAULT_SIGNATURE)


def _keras_input(name: str, info: ParsedTensorInfo, subject: Subject) -> Any:
    dense_or_sparse = info.is_sparse or isinstance(info.type_spec, tf.TensorSpec)
    shape = info.get_shape()
    if not dense_or_sparse or not shape.rank:
        raise ConversionError(
            f"Cannot make a Keras model of a TF1 Hub module: input {name!r} does not fit.",
            subject,
            expected="dense or sparse inputs with a batch dimension",
            found=str(info),
            advice="use a ModuleLayer in a model of your own, or convert to savedmodel",
        )
    # Keras takes no slash in a name.
    return keras.Input(
        batch_shape=tuple(shape),
        name=name.replace("/", "."),
        dtype=info.dtype.name,
        sparse=info.is_sparse,
    )


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
            expected=f"a {KERAS_ENDING} file whose layers can be imported here",
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
            selection.endpoints(spec, trust)
