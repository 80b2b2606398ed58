"""From a module to a Keras model around it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import keras
import tensorflow as tf

from hub_keras_bridge.errors import ConversionError, Subject
from hub_keras_bridge.facts.reading import load_module_spec
from hub_keras_bridge.facts.signatures import DEFAULT_KEY
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.files import exporting
from hub_keras_bridge.frontends.keras3.module_layer import ModuleLayer
from hub_keras_bridge.tools.convert.file_kinds import KERAS
from hub_keras_bridge.tools.convert.origin import CANNOT_WRITE, Handle, Path, subject_of
from hub_keras_bridge.tools.convert.preflight import require_ending


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
    require_ending(KERAS, path, spec.subject)
    with exporting.new_file(path, spec.subject, CANNOT_WRITE) as file:
        facts = spec.variant(tags).signature(signature)
        layer = ModuleLayer(
            spec,
            signature=signature,
            as_dict=DEFAULT_KEY not in facts.outputs,
            tags=tags,
            safe_mode=safe_mode,
            trusted_ops=trusted_ops,
        )
        subject = subject_of(spec, tags, signature)
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
