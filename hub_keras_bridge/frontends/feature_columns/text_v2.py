"""The feature column of a TF2 SavedModel, for ``DenseFeatures`` of Keras 2."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import tensorflow as tf

from hub_keras_bridge.compat import feature_columns
from hub_keras_bridge.errors import Subject
from hub_keras_bridge.errors.redaction import redact
from hub_keras_bridge.frontends.feature_columns.key_column import KeyColumn
from hub_keras_bridge.frontends.tf2.load import load


def text_embedding_column_v2(
    key: Any,
    module_path: str | os.PathLike[str],
    output_key: str | None = None,
    trainable: bool = False,
) -> Any:
    """A feature column of one text per example, embedded by a SavedModel.

    For ``DenseFeatures`` of Keras 2, which is ``tf_keras.layers.DenseFeatures`` today,
    executed eagerly or in a TF1 graph. For Keras 3 see ``docs/migration.md``.

    Example:

    >>> import tempfile, tensorflow as tf, hub_keras_bridge as hub
    >>> import tf_keras
    >>> model = tf.Module()
    >>> model.scale = tf.Variable([[1.0, 10.0]])
    >>> model.__call__ = tf.function(
    ...     lambda x: tf.cast(tf.strings.length(x), tf.float32)[:, None] * model.scale,
    ...     input_signature=[tf.TensorSpec([None], tf.string)],
    ... )
    >>> folder = tempfile.mkdtemp()
    >>> tf.saved_model.save(model, folder)
    >>> title = hub.text_embedding_column_v2("title", folder)
    >>> layer = tf_keras.layers.DenseFeatures([title])
    >>> layer({"title": tf.constant(["a", "abc"])}).numpy().tolist()
    [[1.0, 10.0], [3.0, 30.0]]

    Args:
        key: the feature's name, or the feature column that it comes from.
        module_path: what :func:`resolve` takes, of a SavedModel; or, unless it is to
            be trained, of a TF1 Hub module.
        output_key: which output, where there are several by name.
        trainable: whether the SavedModel's variables are trained along.

    Returns:
        A feature column. Its layer loads the SavedModel when it is built, and
        raises what :func:`load` does; SignatureError, where the output is none or
        not one; and TrainingError, where a TF1 Hub module is to be trained.
    """
    return _TextEmbeddingColumnV2(key, module_path, output_key, trainable)


class _TextFields(NamedTuple):
    key: Any
    module_path: Any
    output_key: str | None
    trainable: bool


class _TextEmbeddingColumnV2(KeyColumn, feature_columns.DenseColumnV2, _TextFields):
    _shape: tf.TensorShape | None = None

    @property
    def parse_example_spec(self) -> dict[Any, Any]:
        """How the texts stand in a ``tf.train.Example``."""
        return {self.key: tf.io.FixedLenFeature([1], tf.string)}

    @property
    def variable_shape(self) -> tf.TensorShape:
        """The shape of what there is of an example."""
        if self._shape is None:
            self._shape = self._make_layer(trainable=False).vector_shape()
        return self._shape

    @property
    def _resource_name(self) -> str:
        """By which a layer keeps the column's state, in checkpoints too."""
        return f"hub_text_column_{self.key}"

    def create_state(self, state_manager: Any) -> None:
        """Loads the SavedModel, which the calls of a layer share."""
        trains = feature_columns.trains_columns(state_manager)
        layer = self._make_layer(trainable=self.trainable and trains)
        self._shape = layer.vector_shape()
        state_manager.add_resource(self, self._resource_name, layer)

    def _make_layer(self, *, trainable: bool) -> Any:
        # Where there is a layer with feature columns, there is Keras 2.
        from hub_keras_bridge.frontends.feature_columns.keras_2_layer import KerasLayer

        return KerasLayer(
            load(self.module_path),
            self.output_key,
            trainable=trainable,
            subject=Subject(redact(os.fspath(self.module_path))),
        )

    def get_dense_tensor(self, transformation_cache: Any, state_manager: Any) -> tf.Tensor:
        """A vector for each example."""
        texts = transformation_cache.get(self, state_manager)
        layer = state_manager.get_resource(self, self._resource_name)
        return layer(tf.reshape(texts, shape=[-1]))

    def get_config(self) -> dict[str, Any]:
        """What the column was made of."""
        return {**self._asdict(), "module_path": os.fspath(self.module_path)}
