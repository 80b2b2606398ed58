"""From a module to a TensorFlow Lite model."""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
import warnings
from collections.abc import Collection

import tensorflow as tf

from hub_keras_bridge.errors import ConversionError, Subject
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.facts.reading import load_module_spec
from hub_keras_bridge.facts.signatures import DEFAULT_SIGNATURE
from hub_keras_bridge.files import exporting
from hub_keras_bridge.frontends.tf2.loaded_module import LoadedModule
from hub_keras_bridge.plans.trust import Trust
from hub_keras_bridge.tools.convert.origin import CANNOT_WRITE, Handle, Path, loaded, subject_of


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
    with exporting.new_file(path, spec.subject, CANNOT_WRITE) as file:
        module = loaded(spec, tags, signature, Trust.of(safe_mode, trusted_ops))
        model = tflite_model(
            module, signature or DEFAULT_SIGNATURE, subject_of(spec, tags, signature)
        )
        with open(file, "wb") as stream:
            stream.write(model)
    return select_ops(model)


def tflite_model(module: LoadedModule, name: str, subject: Subject) -> bytes:
    """Converts the signature that a module's call runs.

    Args:
        module: its tables are saved with their entries from now on.
        name: of the signature, in the model.
        subject: for messages.

    Raises:
        ConversionError: an op is known neither to TensorFlow Lite nor among
            those that it takes from TensorFlow.
    """
    module.hold_vocabularies()
    with tempfile.TemporaryDirectory(prefix="hub_keras_bridge_") as folder:
        tf.saved_model.save(module, folder, {name: module.serve})
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[name])
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.TFLITE_BUILTINS,
            tf.lite.OpsSet.SELECT_TF_OPS,
        ]
        try:
            return converter.convert()
        except Exception as error:  # TensorFlow publishes no name for its class.
            unknown = sorted(set(re.findall(r"'tf\.(\w+)' op is neither", str(error))))
            raise ConversionError(
                "Cannot make a TensorFlow Lite model of a TF1 Hub module.",
                subject,
                expected="ops that TensorFlow Lite has, or takes from TensorFlow",
                found=f"ops {choices(unknown)}" if unknown else str(error).strip(),
                advice="choose a signature or output without them, or convert to savedmodel",
            ) from error


def runs_here(path: Path) -> bool:
    """Whether the interpreter in this TensorFlow's Python package takes a model.

    Args:
        path: the model's file. It is made ready, not run.
    """
    try:
        with warnings.catch_warnings():
            # TensorFlow announces that the interpreter is going to move.
            warnings.simplefilter("ignore")
            tf.lite.Interpreter(model_path=os.fspath(path)).allocate_tensors()
    except (RuntimeError, ValueError):
        return False
    return True


def select_ops(model: bytes) -> list[str]:
    """The names of the ops of a TensorFlow Lite model that come from TensorFlow."""
    listing = io.StringIO()
    with contextlib.redirect_stdout(listing):
        tf.lite.experimental.Analyzer.analyze(model_content=model)
    return sorted(set(re.findall(r"^ *Op#\d+ Flex(\w+)\(", listing.getvalue(), re.MULTILINE)))
