"""Feature columns of TF1 Hub modules: text, texts of many tokens, and images.

``tf.compat.v1.feature_column.input_layer`` and ``linear_model`` ask a column for a
dense tensor and take its state from the graph's collections; ``DenseFeatures``
of Keras 2 has a column make its state first, and keeps it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from hub_keras_bridge.compat import feature_columns
from hub_keras_bridge.errors import ConfigError, FormatError, InputError, SignatureError
from hub_keras_bridge.facts.reading import load_module_spec
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.facts.variant import DEFAULT_KEY, DEFAULT_SIGNATURE
from hub_keras_bridge.frontends.tf1.module import Module
from hub_keras_bridge.publishing.common_signatures import check_common_signature
from hub_keras_bridge.publishing.expected_images import IMAGES_INPUT, get_expected_image_size

_RESOURCE = "module"  # by which a layer keeps a column's state
_COMBINERS = ("mean", "sqrtn", "sum")
_OTHERWISE = "apply the module as hub.Module or hub.ModuleLayer, which take any signature"


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
    spec = _text_embedding(module_spec)
    if combiner not in _COMBINERS:
        raise InputError(
            "Cannot make a feature column of texts: there is no such combiner.",
            spec.subject,
            expected="combiner 'mean', 'sqrtn' or 'sum'",
            found=repr(combiner),
            advice="pass one of these as combiner=...",
        )
    return _SparseTextEmbeddingColumn(key, combiner, spec, default_value, trainable)


def image_embedding_column(
    key: Any,
    module_spec: ModuleSpec | str | os.PathLike[str],
    image_size: Sequence[int] | None = None,
) -> Any:
    """A feature column of one image per example, embedded by a TF1 Hub module.

    The feature is a batch of images, as the module takes it. It works where
    :func:`text_embedding_column` does, and is not trained.

    Example:

    >>> import tensorflow as tf, hub_keras_bridge as hub
    >>> v1 = tf.compat.v1
    >>> def colours():
    ...     images = v1.placeholder(tf.float32, [None, 1, 2, 3])
    ...     hub.add_signature(inputs={"images": images}, outputs=tf.reduce_sum(images, [1, 2]))
    >>> photo = hub.image_embedding_column("photo", hub.create_module_spec(colours))
    >>> v1.feature_column.make_parse_example_spec([photo])["photo"].shape
    [1, 2, 3]
    >>> with tf.Graph().as_default():
    ...     features = {"photo": [[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]]}
    ...     dense = v1.feature_column.input_layer(features, [photo])
    ...     with v1.train.MonitoredSession() as session:
    ...         session.run(dense).tolist()
    [[5.0, 7.0, 9.0]]

    Args:
        key: the feature's name, or the feature column that it comes from.
        module_spec: the module, or what :func:`load_module_spec` takes.
        image_size: height and width of the images; those that the module expects
            if None, see :func:`get_expected_image_size`.

    Returns:
        A feature column, which has the module as ``module_spec``.

    Raises:
        SignatureError: the module's signature ``"default"`` is not one from
            ``"images"`` to vectors, or does not tell the size of the images.
        HubError: the module cannot be read; see :func:`load_module_spec`.
    """
    # Layers have columns as keys, and a list cannot be in one.
    size = tuple(image_size) if isinstance(image_size, list) else image_size
    return _ImageEmbeddingColumn(key, module_spec, size)


class KeyColumn:
    """What a column has in common with others of one feature.

    Each is a tuple of what it was made of, as TensorFlow's own are: so columns
    are compared, and found in a dict. Classes and fields are called as in the
    original library, since configs of Keras 2 have these names.
    """

    key: Any

    @property
    def name(self) -> str:
        """The name of the column's scope."""
        key = self.key if isinstance(self.key, str) else self.key.name
        return f"{key}_hub_module_embedding"

    @property
    def parents(self) -> list[Any]:
        """What the column is computed from."""
        return [self.key]

    @property
    def _is_v2_column(self) -> bool:
        return True

    def transform_feature(self, transformation_cache: Any, state_manager: Any) -> Any:
        """What the module is given."""
        return transformation_cache.get(self.key, state_manager)

    @classmethod
    def from_config(
        cls,
        config: Mapping[str, Any],
        custom_objects: Any = None,  # noqa: ARG003
        columns_by_name: Any = None,  # noqa: ARG003
    ) -> Any:
        """The inverse of ``get_config``."""
        return cls(**config)


class _ModuleColumn(KeyColumn, feature_columns.DenseColumn):
    """A column that applies a TF1 Hub module."""

    trainable: bool
    module_spec: ModuleSpec
    dtype = tf.float32

    def _embed(self, module: Module, value: Any) -> tf.Tensor:
        """A vector for each example."""
        raise NotImplementedError

    def _make_module(self, trainable: bool | None) -> Module:
        return Module(self.module_spec, trainable=bool(self.trainable and trainable))

    @property
    def variable_shape(self) -> tf.TensorShape:
        """The shape of what there is of an example."""
        return self.module_spec.get_output_info_dict()[DEFAULT_KEY].get_shape()[1:]

    # --- the old interface ---

    @property
    def _parse_example_spec(self) -> Mapping[Any, Any]:
        return self.parse_example_spec

    @property
    def _variable_shape(self) -> tf.TensorShape:
        return self.variable_shape

    def _transform_feature(self, inputs: Any) -> Any:
        return inputs.get(self.key)

    def _get_dense_tensor(
        self,
        inputs: Any,
        weight_collections: Any = None,  # noqa: ARG002
        trainable: bool | None = None,
    ) -> tf.Tensor:
        value = inputs.get(self)
        return self._embed(self._make_module(trainable), value)

    # --- the newer one ---

    def create_state(self, state_manager: Any) -> None:
        """Makes the module that the calls of a layer share."""
        module = self._make_module(feature_columns.trains_columns(state_manager))
        state_manager.add_resource(self, _RESOURCE, module)

    def get_dense_tensor(self, transformation_cache: Any, state_manager: Any) -> tf.Tensor:
        """A vector for each example."""
        value = transformation_cache.get(self, state_manager)
        return self._embed(state_manager.get_resource(self, _RESOURCE), value)


class _OfHandle(_ModuleColumn):
    """A column that reads its module, and can be made again from the module's handle."""

    module_spec_path: Any

    def get_config(self) -> dict[str, Any]:
        """What the column was made of.

        Raises:
            ConfigError: that is a module, not its handle.
        """
        if not isinstance(self.module_spec_path, str | os.PathLike):
            raise ConfigError(
                "Can only generate a config of a feature column made of a module's handle.",
                self.module_spec.subject,
                expected="a handle as module_spec",
                found=f"a {type(self.module_spec_path).__name__}",
                advice="export the module, and make the column of the path",
            )
        return {**self._asdict(), "module_spec_path": os.fspath(self.module_spec_path)}


class _TextFields(NamedTuple):
    key: Any
    module_spec_path: Any
    trainable: bool


class _TextEmbeddingColumn(_OfHandle, _TextFields):
    def __init__(self, key: Any, module_spec_path: Any, trainable: bool) -> None:  # noqa: ARG002
        self.module_spec = _text_embedding(module_spec_path)

    @property
    def parse_example_spec(self) -> dict[Any, Any]:
        """How the texts stand in a ``tf.train.Example``."""
        return {self.key: tf.io.FixedLenFeature([1], tf.string)}

    def _embed(self, module: Module, value: tf.Tensor) -> tf.Tensor:
        return module(tf.reshape(value, shape=[-1]))


class _ImageFields(NamedTuple):
    key: Any
    module_spec_path: Any
    image_size: Sequence[int] | None


class _ImageEmbeddingColumn(_OfHandle, _ImageFields):
    trainable = False

    def __init__(self, key: Any, module_spec_path: Any, image_size: Any) -> None:  # noqa: ARG002
        self.module_spec = _image_embedding(module_spec_path, image_size)

    @property
    def parse_example_spec(self) -> dict[Any, Any]:
        """How the images stand in a ``tf.train.Example``."""
        height, width = self.image_size or get_expected_image_size(self.module_spec)
        return {self.key: tf.io.FixedLenFeature([height, width, 3], tf.float32)}

    def _embed(self, module: Module, value: tf.Tensor) -> tf.Tensor:
        return module({IMAGES_INPUT: value})


class _SparseTextFields(NamedTuple):
    key: Any
    combiner: str
    module_spec: ModuleSpec
    default_value: str | None
    trainable: bool


class _SparseTextEmbeddingColumn(_ModuleColumn, _SparseTextFields):
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


def _text_embedding(module_spec: Any) -> ModuleSpec:
    """The module, which is one from texts to vectors."""
    spec = load_module_spec(module_spec)
    findings = check_common_signature(spec, "text-embedding").findings
    if findings:
        raise SignatureError(
            "Cannot make a feature column: the module is no text embedding.",
            spec.subject.with_signature(DEFAULT_SIGNATURE),
            expected="only one input, string [?], and an output 'default', float32 [?, dim] with "
            "a known dim",
            found="; ".join(f"{finding.where}: {finding.found}" for finding in findings),
            advice=_OTHERWISE,
        )
    return spec


def _image_embedding(module_spec: Any, image_size: Any) -> ModuleSpec:
    """The module, which is one from images to vectors."""
    spec = load_module_spec(module_spec)
    findings = list(_unlike_images(spec, image_size))
    if findings:
        raise SignatureError(
            "Cannot make a feature column: the module is no image embedding.",
            spec.subject.with_signature(DEFAULT_SIGNATURE),
            expected="only one input, 'images', float32, of known size, and an output 'default', "
            "float32 [?, dim] with a known dim",
            found="; ".join(findings),
            advice=f"pass image_size=(height, width) if that is all it lacks; else {_OTHERWISE}",
        )
    return spec


def _unlike_images(spec: ModuleSpec, image_size: Any) -> Iterator[str]:
    """What a module has that does not fit a column of images.

    The common signatures ask for more: here the number of channels and that of
    the batch are the module's.
    """
    inputs, outputs = spec.get_input_info_dict(), spec.get_output_info_dict()
    if list(inputs) != [IMAGES_INPUT] or inputs[IMAGES_INPUT].dtype != tf.float32:
        yield _show("input", inputs)
    elif image_size is None:
        try:
            get_expected_image_size(spec)
        except FormatError as error:
            yield f"image size: {error.found}"
    vectors = outputs.get(DEFAULT_KEY)
    shape = vectors.get_shape() if vectors else tf.TensorShape(None)
    if not vectors or vectors.dtype != tf.float32 or shape.rank != 2 or not shape.as_list()[1]:
        yield _show("output", outputs)


def _show(kind: str, infos: Mapping[str, ParsedTensorInfo]) -> str:
    return ", ".join(f"{kind} {name!r}: {info}" for name, info in infos.items()) or f"no {kind}"
