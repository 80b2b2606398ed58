"""A module's tables and files, as things that TensorFlow and Keras save."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2, node_def_pb2

from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.errors import ExportError, Subject

Function: TypeAlias = Callable[..., list[tf.Tensor]]


class ModuleFile:
    """A file of a module, below its ``assets/``.

    Args:
        path: where it is.
        subject: for messages.
    """

    def __init__(self, path: str, subject: Subject) -> None:
        self._path = path
        self._subject = subject
        self.asset = tf.saved_model.Asset(path)

    def need(self) -> None:
        """Checks that TensorFlow can copy it; if not, it would say nothing.

        Raises:
            ExportError: the file is gone.
        """
        if not tf.io.gfile.exists(self._path):
            raise ExportError(
                "Cannot save a TF1 Hub module: a file of it is gone.",
                self._subject,
                expected=f"the file {self._path}",
                found="no such file",
                advice="put the module back; or load the model from a .keras file, which has "
                "the module's files inside",
            )


class Table(tf.saved_model.experimental.TrackableResource):
    """A lookup table of a module, in a resource of its own.

    TF1 graphs find tables by ``shared_name``, which TensorFlow 2 reads in the
    whole process: two modules with a ``vocab.txt`` would share one table.

    Args:
        node: the op that makes the table.
    """

    def __init__(self, node: node_def_pb2.NodeDef) -> None:
        super().__init__(device="CPU")
        self._node = node
        self._shared_name = f"hub_keras_bridge_{uuid.uuid4().hex}"
        # Adds the ops that fill the table to the current graph.
        self.filling: Function | None = None
        self.files: list[ModuleFile] = []

    def fill_from(self, filling: Function, files: Sequence[ModuleFile]) -> None:
        """Says how the table is filled, and fills it.

        Args:
            filling: adds the ops to the current graph.
            files: what they read; they go where the table goes.
        """
        self.filling, self.files = filling, list(files)
        for number, file in enumerate(files):
            private_tf.track_child(self, file.asset, f"asset_{number}")
        self._initialize()

    def _create_resource(self) -> tf.Tensor:
        # By name only in a SavedModel: TensorFlow caches a kernel for every
        # name that is ever run eagerly, for good.
        name = None if tf.executing_eagerly() else self._shared_name
        return make_resource(self._node, name)

    def _initialize(self) -> None:
        if self.filling is None:
            return
        if tf.executing_eagerly():
            private_tf.wrap_function(self.filling, [])()
        else:
            # In the graph of a SavedModel's initializer itself: a call of a
            # function there would be pruned, since nothing reads its result.
            for file in self.files:
                file.need()
            self.filling()

    def hold_entries(self) -> None:
        """Lets whoever saves the table fill it with its entries, not from files."""
        if self.filling is None or "key_dtype" not in self._node.attr:
            return
        keys, values = tf.raw_ops.LookupTableExportV2(
            table_handle=self.resource_handle,
            Tkeys=self._node.attr["key_dtype"].type,
            Tvalues=self._node.attr["value_dtype"].type,
        )
        entries = keys.numpy(), values.numpy()

        def fill() -> list[tf.Tensor]:
            keys, values = map(tf.constant, entries)
            tf.raw_ops.LookupTableImportV2(
                table_handle=self.resource_handle, keys=keys, values=values
            )
            return []

        self.filling, self.files = fill, []

    def _destroy_resource(self) -> None:
        if not tf.executing_eagerly():  # a nameless table goes with its handle
            tf.raw_ops.DestroyResourceOp(resource=self.resource_handle, ignore_lookup_error=True)


class ReadFile(tf.saved_model.experimental.TrackableResource):
    """A file that a module's graph itself reads, no initializer of a table.

    It stands beside a resource that is never used, since Keras's export follows
    nothing but resources.

    Args:
        file: goes where this goes.
    """

    def __init__(self, file: ModuleFile) -> None:
        super().__init__(device="CPU")
        self.file = file
        private_tf.track_child(self, file.asset, "asset")

    def _create_resource(self) -> tf.Tensor:
        # The handle of a variable that nobody gives a value: nothing is made.
        return tf.raw_ops.VarHandleOp(
            dtype=tf.string, shape=[], shared_name="hub_keras_bridge_read_file"
        )

    def _initialize(self) -> None:
        if not tf.executing_eagerly():
            self.file.need()


def make_resource(node: node_def_pb2.NodeDef, shared_name: str | None) -> tf.Tensor:
    """Runs or adds the op that makes a table.

    Args:
        node: the op as published.
        shared_name: a name of its own; None for a table without a name, where
            the op has such a form.
    """
    attributes = {
        name: _attribute(value)
        for name, value in node.attr.items()
        if name not in ("container", "shared_name", "use_node_name_sharing")
        and not name.startswith("_")
    }
    nameless = getattr(tf.raw_ops, f"Anonymous{node.op.removesuffix('V2')}", None)
    if shared_name is None and nameless is not None:
        return nameless(**attributes)
    named = getattr(tf.raw_ops, node.op)
    return named(shared_name=shared_name or uuid.uuid4().hex, **attributes)


def _attribute(value: attr_value_pb2.AttrValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "list":  # e.g. a queue's dtypes
        fields = value.list.ListFields()
        return [_plain(field.name, one) for field, values in fields for one in values]
    return _plain(kind, getattr(value, kind))


def _plain(kind: str, value: Any) -> Any:
    return {"type": tf.as_dtype, "shape": tf.TensorShape}.get(kind, lambda same: same)(value)
