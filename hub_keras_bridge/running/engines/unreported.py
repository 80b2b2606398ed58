"""Packages of engines, imported so that they report nothing to their makers.

ONNX Runtime (1.32) and OpenVINO (2026.4) send over the network what is done with them,
unless they are told not to before they are imported. A module that is run
reaches nothing outside of it, and what runs it shall not, either. Where a program
has imported them already, it is the program that decides.
"""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType

# Privacy.md in the package onnxruntime.
_DISABLED = "ORT_DISABLE_TELEMETRY"
# openvino.tools.ovc does without where this cannot be imported.
_REPORTER = "openvino_telemetry"


def import_onnxruntime() -> ModuleType:
    """The package ``onnxruntime``."""
    os.environ.setdefault(_DISABLED, "1")
    return importlib.import_module("onnxruntime")


def import_openvino() -> ModuleType:
    """The package ``openvino``."""
    if "openvino" in sys.modules or _REPORTER in sys.modules:
        return importlib.import_module("openvino")
    sys.modules[_REPORTER] = None  # type: ignore[assignment]  # Python's way to say so.
    try:
        return importlib.import_module("openvino")
    finally:
        del sys.modules[_REPORTER]
