"""Conversions: from a module to what TensorFlow 2, Keras, TF1 and inference engines load.

Each function writes one thing, whole or not at all, and never overwrites. What
it writes needs the module's folder no more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hub_keras_bridge.tools.convert.hub_module import to_hub
from hub_keras_bridge.tools.convert.keras_model import to_keras
from hub_keras_bridge.tools.convert.onnx import to_onnx
from hub_keras_bridge.tools.convert.openvino import to_openvino
from hub_keras_bridge.tools.convert.saved_model import to_saved_model
from hub_keras_bridge.tools.convert.tflite import to_tflite

__all__ = [
    "CONVERSIONS",
    "to_hub",
    "to_keras",
    "to_onnx",
    "to_openvino",
    "to_saved_model",
    "to_tflite",
]

# What to convert to -> how; all take the same arguments, and those for engines some more.
CONVERSIONS: dict[str, Callable[..., Any]] = {
    "savedmodel": to_saved_model,
    "keras": to_keras,
    "tflite": to_tflite,
    "onnx": to_onnx,
    "openvino": to_openvino,
    "hub": to_hub,
}
