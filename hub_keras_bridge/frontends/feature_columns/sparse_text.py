"""The feature column of any number of texts per example."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import tensorflow as tf

from hub_keras_bridge.errors import ConfigError, InputError
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.frontends.feature_columns.module_column import ModuleColumn
from hub_keras_bridge.frontends.feature_columns.text import text_embedding
from hub_keras_bridge.frontends.tf1.module import Module

_COMBINERS = ("mean", "sqrtn", "sum")


def sparse_text_embedding_column(
    key: Any,
    module_spec: ModuleSpec | str | os.PathLike[str],
    combiner: str,
    default_value: str | None,
    trainable: bool = False,
) -> Any:
    """A feature column of any number of texts per example, embedded and combined.

    The feature is a sparse tensor of texts, a row per example, as of tokens. It
    works where :func:`text_embedding_column` does.

    Example:

    >>> import tensorflow as tf, hub_keras_bridge as hub
    >>> v1 = tf.compat.v1
    >>> def lengths():
    ...     texts = v1.placeholder(tf.string, [None])
    ...     length = tf.cast(tf.strings.length(texts), tf.float32)
    ...     hub.add_signature(inputs=texts, outputs=length[:, None] * [[1.0, 10.0]])
    >>> words = hub.sparse_text_embedding_column(
    ...     "words", hub.create_module_spec(lengths), combiner="mean", default_value="none"
    ... )
    >>> with tf.Graph().as_default():
    ...     texts = tf.SparseTensor([[0, 0], [0, 1]], ["a", "abc"], [2, 2])
    ...     dense = v1.feature_column.input_layer({"words": texts}, [words])
    ...     with v1.train.MonitoredSession() as session:
    ...         session.run(dense).tolist()
    [[2.0, 20.0], [4.0, 40.0]]

    Args:
        key: the feature's name, or the feature column that it comes from.
        module_spec: the module, or what :func:`load_module_spec` takes.
        combiner: what becomes of an example's vectors: their ``"mean"``, their
            ``"sum"``, or ``"sqrtn"``, the sum by the square root of their number.
        default_value: the text of an example that has none; None where each has one.
        trainable: whether the module's variables are trained along.

    Returns:
        A feature column, which has the module as ``module_spec``.

    Raises:
        SignatureError: the module's signature ``"default"`` is not one from texts to
            vectors.
        InputError: there is no such combiner.
        HubError: the module cannot be read; see :func:`load_module_spec`.
    """
    spec = text_embedding(module_spec)
    if combiner not in _COMBINERS:
        raise InputError(
            "Cannot make a feature column of texts: there is no such combiner.",
            spec.subject,
            expected="combiner 'mean', 'sqrtn' or 'sum'",
            found=repr(combiner),
            advice="pass one of these as combiner=...",
        )
    return _SparseTextEmbeddingColumn(key, combiner, spec, default_value, trainable)


class _SparseTextFields(NamedTuple):
    key: Any
    combiner: str
    module_spec: ModuleSpec
    default_value: str | None
    trainable: bool


class _SparseTextEmbeddingColumn(ModuleColumn, _SparseTextFields):
    @property
    def parse_example_spec(self) -> dict[Any, Any]:
        """How the texts stand in a ``tf.train.Example``."""
        return {self.key: tf.io.VarLenFeature(tf.string)}

    def create_state(self, state_manager: Any) -> None:
        """Makes nothing: as in the original library, each call makes a module of its own."""

    def get_dense_tensor(self, transformation_cache: Any, state_manager: Any) -> tf.Tensor:
        """A vector for each example."""
        value = transformation_cache.get(self, state_manager)
        return self._embed(self._make_module(True), value)

    def _embed(self, module: Module, value: tf.SparseTensor) -> tf.Tensor:
        if self.default_value is not None:
            value, _ = tf.sparse.fill_empty_rows(value, self.default_value)
        vectors = module(value.values)
        # Where a text was, the number of its vector.
        numbers = tf.range(tf.shape(value.indices)[0], dtype=tf.int32)
        return tf.nn.embedding_lookup_sparse(
            params=vectors,
            sp_ids=tf.SparseTensor(value.indices, numbers, value.dense_shape),
            sp_weights=None,
            combiner=self.combiner,
        )

    def get_config(self) -> dict[str, Any]:
        """Nothing: the column has the module, and not its handle.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            "Can generate no config of a feature column of sparse texts.",
            self.module_spec.subject,
            advice="make the column and its layer again, and load the weights into that",
        )
