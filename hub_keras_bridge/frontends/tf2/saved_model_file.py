"""``saved_model.pb``, read once: its bytes, what they are called by, what they say."""

from __future__ import annotations

import functools
import hashlib
import os

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from hub_keras_bridge.errors import FormatError, Subject
from hub_keras_bridge.files.layout import SAVED_MODEL_FILE
from hub_keras_bridge.files.module_folder import is_saved_model

KIND = "TF2 SavedModel"


def subject_of(name: str) -> Subject:
    """A TF2 SavedModel by its name, for messages."""
    return Subject(name, kind=KIND)


class SavedModelFile:
    """The graphs of a SavedModel as they lay in its folder when this was made.

    Args:
        folder: that of the SavedModel.
        subject: for messages.

    Attributes:
        folder: as given.
        subject: as given.

    Raises:
        FormatError: the file cannot be read.
    """

    def __init__(self, folder: str, subject: Subject) -> None:
        self.folder = folder
        self.subject = subject
        try:
            with tf.io.gfile.GFile(os.path.join(folder, SAVED_MODEL_FILE), "rb") as stream:
                self._content: bytes = stream.read()
        except tf.errors.OpError as error:
            raise _damaged(subject, error) from error

    @functools.cached_property
    def identity(self) -> str:
        """A hash of the graphs."""
        return hashlib.sha256(self._content).hexdigest()

    @functools.cached_property
    def proto(self) -> saved_model_pb2.SavedModel:
        """The graphs.

        Raises:
            FormatError: they are damaged.
        """
        try:
            return saved_model_pb2.SavedModel.FromString(self._content)
        except DecodeError as error:
            raise _damaged(self.subject, error) from error

    @property
    def is_of_tf2(self) -> bool:
        """Whether TensorFlow 2 wrote it: one graph, and the objects that have its functions."""
        graphs = self.proto.meta_graphs
        return len(graphs) == 1 and graphs[0].HasField("object_graph_def")

    @property
    def meta_graph(self) -> meta_graph_pb2.MetaGraphDef:
        """The only graph, of a SavedModel that TensorFlow 2 wrote."""
        (only,) = self.proto.meta_graphs
        return only


def tf2_saved_model(folder: str, subject: Subject) -> SavedModelFile | None:
    """The graphs in a folder, if it is a SavedModel that TensorFlow 2 wrote.

    Raises:
        FormatError: its graphs are damaged.
    """
    if not is_saved_model(folder):
        return None
    file = SavedModelFile(folder, subject)
    return file if file.is_of_tf2 else None


def _damaged(subject: Subject, error: Exception) -> FormatError:
    return FormatError(
        f"Cannot read a SavedModel: {SAVED_MODEL_FILE} is damaged.",
        subject,
        expected="a serialized SavedModel message",
        found=str(error),
        advice="fetch it or save it again",
    )
