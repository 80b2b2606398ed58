"""The feature column of one image per example."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from hub_keras_bridge.errors import FormatError, SignatureError
from hub_keras_bridge.facts.reading import load_module_spec
from hub_keras_bridge.facts.signatures import DEFAULT_KEY, DEFAULT_SIGNATURE
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.frontends.feature_columns.module_column import OTHERWISE, ColumnOfHandle
from hub_keras_bridge.frontends.tf1.module import Module
from hub_keras_bridge.publishing.expected_images import IMAGES_INPUT, get_expected_image_size


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


class _ImageFields(NamedTuple):
    key: Any
    module_spec_path: Any
    image_size: Sequence[int] | None


class _ImageEmbeddingColumn(ColumnOfHandle, _ImageFields):
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
            advice=f"pass image_size=(height, width) if that is all it lacks; else {OTHERWISE}",
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
