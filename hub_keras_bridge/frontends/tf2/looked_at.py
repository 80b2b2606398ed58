"""A SavedModel's folder as TensorFlow is to load it: with the graph that was looked at.

TensorFlow reads ``saved_model.pb`` by itself, once more, and all of the functions in
it. It is given a folder of its own, in which there is nothing but the graph that is
wanted, and the variables.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from hub_keras_bridge.files import paths
from hub_keras_bridge.files.layout import ASSETS_FOLDER, SAVED_MODEL_FILE, VARIABLES_PREFIX

_VARIABLES = os.path.dirname(VARIABLES_PREFIX)
# TensorFlow asks for it, and says so where it is not.
_FINGERPRINT = "fingerprint.pb"

# Until the process ends: loaded functions read assets there, sessions variables.
_kept: list[tempfile.TemporaryDirectory[str]] = []


@contextlib.contextmanager
def as_looked_at(path: str, meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[str]:
    """A folder to load while the block runs.

    Assets stay where they are, for whoever saves what was loaded; those of a remote
    file system are copied, once for each time.

    Args:
        path: the SavedModel's folder, on a disk or one of TensorFlow's file systems.
        meta_graph: its only graph, as it is to be loaded.
    """
    if paths.is_remote(path):
        path = _copied(path)
    saved_model = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    loaded = saved_model.meta_graphs.add()
    loaded.CopyFrom(meta_graph)
    for asset in loaded.asset_file_def:
        # TensorFlow joins it to the folder's path, which an absolute path replaces.
        asset.filename = os.path.join(os.path.abspath(path), ASSETS_FOLDER, asset.filename)
    made = tempfile.TemporaryDirectory(prefix="hub_keras_bridge_")
    if not tf.executing_eagerly():
        _kept.append(made)  # A session will read the variables.
    with made if tf.executing_eagerly() else contextlib.nullcontext(made.name) as folder:
        with open(os.path.join(folder, SAVED_MODEL_FILE), "wb") as stream:
            stream.write(saved_model.SerializeToString())
        for name in (_VARIABLES, _FINGERPRINT):
            _bring(os.path.join(os.path.abspath(path), name), os.path.join(folder, name))
        yield folder


def _copied(url: str) -> str:
    copy = tempfile.TemporaryDirectory(prefix="hub_keras_bridge_")
    _kept.append(copy)
    for name in paths.files_below(url):
        paths.copy(f"{url.rstrip('/')}/{name}", os.path.join(copy.name, name))
    return copy.name


def _bring(source: str, target: str) -> None:
    if not os.path.exists(source):
        return
    try:
        os.symlink(source, target)
    except OSError:  # Windows lets few people make links.
        (shutil.copytree if os.path.isdir(source) else shutil.copyfile)(source, target)
