"""What a folder or file is that is no module, and what to do with it."""

from __future__ import annotations

import os

import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import saved_model_pb2

from hub_keras_bridge.errors import FormatError, Subject
from hub_keras_bridge.files.layout import SAVED_MODEL_FILE, modules_in
from hub_keras_bridge.files.messages import read_message

_LOOK_ELSEWHERE = "point to the folder that holds the module's own files"


def diagnose(path: str) -> tuple[str, str]:
    """What a folder that is no module is, and what to do with it."""
    names = [name.rstrip("/") for name in tf.io.gfile.listdir(path)]
    if SAVED_MODEL_FILE in names:
        kind, advice = _diagnose_saved_model(path)
        return f"{kind} (a {SAVED_MODEL_FILE} alone)", advice
    frozen = [name for name in names if _is_frozen_graph(os.path.join(path, name))]
    if frozen:
        return (
            f"a frozen graph ({frozen[0]})",
            "import it with tf.compat.v1.wrap_function; it has neither signatures nor variables",
        )
    there = ", ".join(sorted(names)[:10]) or "an empty directory"
    below = modules_in(path)
    if below:
        return there, f"did you mean {' or '.join(map(os.path.abspath, below[:3]))}?"
    return there, _LOOK_ELSEWHERE


def _diagnose_saved_model(path: str) -> tuple[str, str]:
    file = os.path.join(path, SAVED_MODEL_FILE)
    try:
        saved_model = read_message(file, saved_model_pb2.SavedModel, Subject(path))
    except FormatError:
        return "a damaged SavedModel", _LOOK_ELSEWHERE
    if any(m.HasField("object_graph_def") for m in saved_model.meta_graphs):
        return "a TF2 SavedModel", "load it with hub.load or hub.ModuleLayer"
    return (
        "a TF1 SavedModel",
        "load it with hub.load or hub.ModuleLayer, or make a module of it with "
        "hub.create_module_spec_from_saved_model",
    )


def kind_of_file(path: str) -> str:
    """What is where a folder should be."""
    if not tf.io.gfile.exists(path):
        return "nothing at this path"
    return "a frozen graph" if _is_frozen_graph(path) else "a file"


def _is_frozen_graph(file: str) -> bool:
    if not file.endswith(".pb"):
        return False
    try:
        return bool(read_message(file, graph_pb2.GraphDef, Subject(file)).node)
    except FormatError:
        return False
