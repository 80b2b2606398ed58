"""The engines there are; a program may add its own."""

from __future__ import annotations

from hub_keras_bridge.running.engines.engine import Engine
from hub_keras_bridge.running.engines.onnx_runtime import OnnxRuntime
from hub_keras_bridge.running.engines.openvino import OpenVino
from hub_keras_bridge.running.engines.xla import Xla

# By name. TensorFlow itself, which runs everything, is not among them.
ENGINES: dict[str, Engine] = {engine.name: engine for engine in (Xla(), OnnxRuntime(), OpenVino())}
