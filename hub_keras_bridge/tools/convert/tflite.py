"""TensorFlow Lite models of loaded modules."""

from __future__ import annotations

import contextlib
import io
import re
import tempfile

import tensorflow as tf

from hub_keras_bridge.errors import ConversionError, Subject, choices
from hub_keras_bridge.frontends.tf2.loaded_module import LoadedModule


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


def select_ops(model: bytes) -> list[str]:
    """The names of the ops of a TensorFlow Lite model that come from TensorFlow."""
    listing = io.StringIO()
    with contextlib.redirect_stdout(listing):
        tf.lite.experimental.Analyzer.analyze(model_content=model)
    return sorted(set(re.findall(r"^ *Op#\d+ Flex(\w+)\(", listing.getvalue(), re.MULTILINE)))
