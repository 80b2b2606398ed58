"""The feature column of one text per example."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import tensorflow as tf

from hub_keras_bridge.errors import SignatureError
from hub_keras_bridge.facts.reading import load_module_spec
from hub_keras_bridge.facts.signatures import DEFAULT_SIGNATURE
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.frontends.feature_columns.module_column import OTHERWISE, ColumnOfHandle
from hub_keras_bridge.frontends.tf1.module import Module
from hub_keras_bridge.publishing.common_signatures import check_common_signature


def text_embedding_column(
    key: Any, module_spec: ModuleSpec | str | os.PathLike[str], trainable: bool = False
) -> Any:
    """A feature column of one text per example, embedded by a TF1 Hub module.

    For TF1 graphs: ``tf.compat.v1.feature_column.input_layer`` and
    ``linear_model``, and ``DenseFeatures`` of Keras 2. For Keras 3 see
    ``docs/migration.md``.

    Example:

    >>> import tensorflow as tf, hub_keras_bridge as hub
    >>> v1 = tf.compat.v1
    >>> def lengths():
    ...     texts = v1.placeholder(tf.string, [None])
    ...     scale = v1.get_variable("scale", initializer=[[1.0, 10.0]])
    ...     length = tf.cast(tf.strings.length(texts), tf.float32)
    ...     hub.add_signature(inputs=texts, outputs=length[:, None] * scale)
    >>> title = hub.text_embedding_column("title", hub.create_module_spec(lengths))
    >>> title.name, v1.feature_column.make_parse_example_spec([title])["title"].shape
    ('title_hub_module_embedding', [1])
    >>> with tf.Graph().as_default():
    ...     dense = v1.feature_column.input_layer({"title": [["a"], ["abc"]]}, [title])
    ...     with v1.train.MonitoredSession() as session:
    ...         session.run(dense).tolist()
    [[1.0, 10.0], [3.0, 30.0]]

    Args:
        key: the feature's name, or the feature column that it comes from.
        module_spec: the module, or what :func:`load_module_spec` takes.
        trainable: whether the module's variables are trained along.

    Returns:
        A feature column, which has the module as ``module_spec``.

    Raises:
        SignatureError: the module's signature ``"default"`` is not one from texts to
            vectors.
        HubError: the module cannot be read; see :func:`load_module_spec`.
    """
    return _TextEmbeddingColumn(key, module_spec, trainable)


class _TextFields(NamedTuple):
    key: Any
    module_spec_path: Any
    trainable: bool


class _TextEmbeddingColumn(ColumnOfHandle, _TextFields):
    def __init__(self, key: Any, module_spec_path: Any, trainable: bool) -> None:  # noqa: ARG002
        self.module_spec = text_embedding(module_spec_path)

    @property
    def parse_example_spec(self) -> dict[Any, Any]:
        """How the texts stand in a ``tf.train.Example``."""
        return {self.key: tf.io.FixedLenFeature([1], tf.string)}

    def _embed(self, module: Module, value: tf.Tensor) -> tf.Tensor:
        return module(tf.reshape(value, shape=[-1]))


def text_embedding(module_spec: Any) -> ModuleSpec:
    """The module, which is one from texts to vectors.

    Raises:
        SignatureError: it is not.
    """
    spec = load_module_spec(module_spec)
    findings = check_common_signature(spec, "text-embedding").findings
    if findings:
        raise SignatureError(
            "Cannot make a feature column: the module is no text embedding.",
            spec.subject.with_signature(DEFAULT_SIGNATURE),
            expected="only one input, string [?], and an output 'default', float32 [?, dim] with "
            "a known dim",
            found="; ".join(f"{finding.where}: {finding.found}" for finding in findings),
            advice=OTHERWISE,
        )
    return spec
