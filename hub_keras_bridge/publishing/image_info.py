"""What size of image a module expects, and how many channels.

A publisher may attach an ``ImageModuleInfo`` message; without one, the shape
of the input says it. Key and field numbers are those of tensorflow/hub's
``image_module_info.proto``.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from hub_keras_bridge.errors import FormatError, InputError, SignatureError, Subject, choices
from hub_keras_bridge.facts.spec import ModuleSpec, load_module_spec
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo, show_shape
from hub_keras_bridge.facts.variant import DEFAULT_SIGNATURE
from hub_keras_bridge.files.protos import Field, define
from hub_keras_bridge.publishing.authoring import attach_message

IMAGE_MODULE_INFO_KEY = "image_module_info"
IMAGES_INPUT = "images"

ImageModuleInfo = define(
    "image_module_info.proto",
    {
        "ImageModuleInfo": [Field("default_image_size", 1, "ImageModuleInfo.InputSize")],
        "ImageModuleInfo.InputSize": [Field("height", 1, "int32"), Field("width", 2, "int32")],
    },
)["ImageModuleInfo"]
# What protobuf leaves open of a class that it makes.
ImageModuleInfo.__module__ = __name__
ImageModuleInfo.__doc__ = """What a publisher declares of a module's images: a protobuf message.

``default_image_size`` has ``height`` and ``width``, in pixels (int32).

Example:

>>> info = ImageModuleInfo(default_image_size={"height": 224, "width": 160})
>>> info.default_image_size.width
160
"""


def attach_image_module_info(image_module_info: Any) -> None:
    """Declares the image size of the module that is being built.

    Called within a ``module_fn``.

    Args:
        image_module_info: an ``ImageModuleInfo``.

    Raises:
        PublishError: it is no message, or this is called outside a graph.

    Example:

    >>> from hub_keras_bridge.publishing.authoring import add_signature, create_module_spec
    >>> def module_fn():
    ...     images = tf.compat.v1.placeholder(tf.float32, [None, None, None, 3])
    ...     add_signature(inputs={"images": images}, outputs=tf.reduce_mean(images, [1, 2]))
    ...     size = {"height": 224, "width": 160}
    ...     attach_image_module_info(ImageModuleInfo(default_image_size=size))
    >>> get_expected_image_size(create_module_spec(module_fn))
    [224, 160]
    """
    attach_message(IMAGE_MODULE_INFO_KEY, image_module_info)


def get_image_module_info(module_or_spec: Any, required: bool = False) -> Any:
    """The ``ImageModuleInfo`` that a publisher attached to a module.

    Args:
        module_or_spec: as for :func:`get_expected_image_size`.
        required: whether its absence is an error.

    Returns:
        The message, or None if there is none and it is not required.

    Raises:
        AttachmentError: it is required and absent.
        InputError: ``module_or_spec`` is none of these.

    Example:

    >>> from hub_keras_bridge.publishing.authoring import add_signature, create_module_spec
    >>> def module_fn():
    ...     images = tf.compat.v1.placeholder(tf.float32, [None, None, None, 3])
    ...     add_signature(inputs={"images": images}, outputs=tf.reduce_mean(images, [1, 2]))
    ...     attach_image_module_info(ImageModuleInfo(default_image_size={"height": 224}))
    >>> get_image_module_info(create_module_spec(module_fn)).default_image_size.height
    224
    """
    module = _describing(module_or_spec)
    return module.get_attached_message(IMAGE_MODULE_INFO_KEY, ImageModuleInfo, required=required)


def get_expected_image_size(
    module_or_spec: Any, signature: str | None = None, input_name: str | None = None
) -> list[int]:
    """The size of the images that a module is to be given, in pixels.

    What the publisher declared with :func:`attach_image_module_info` counts,
    for all signatures; without it, the input's shape.

    Args:
        module_or_spec: a ModuleSpec, a handle, a Module or a ModuleLayer; of the
            first two, the variant without tags is read, of the others the one in use.
        signature: name of the signature; ``"default"`` if None.
        input_name: name of the input for images; ``"images"`` if None.

    Returns:
        ``[height, width]``.

    Raises:
        SignatureError: no such signature or input.
        FormatError: neither the publisher nor the input's shape tells.
        InputError: ``module_or_spec`` is none of these.

    Example:

    >>> from hub_keras_bridge.publishing.authoring import add_signature, create_module_spec
    >>> def module_fn():
    ...     images = tf.compat.v1.placeholder(tf.float32, [None, 28, 32, 1])
    ...     add_signature(inputs={"images": images}, outputs=tf.reduce_mean(images, [1, 2, 3]))
    >>> get_expected_image_size(create_module_spec(module_fn))
    [28, 32]
    """
    module = _describing(module_or_spec)
    info = get_image_module_info(module)
    # A message without a size, or with half of one, declares nothing.
    if info and info.default_image_size.height and info.default_image_size.width:
        return [info.default_image_size.height, info.default_image_size.width]
    images = _image_input(module, signature, input_name)
    _, height, width, _ = images.dimensions
    if not height or not width:
        raise images.lacks("height and width")
    return [height, width]


def get_num_image_channels(
    module_or_spec: Any, signature: str | None = None, input_name: str | None = None
) -> int:
    """The number of channels of the images that a module is to be given.

    The common signatures have 3, for red, green and blue.

    Args:
        module_or_spec: as for :func:`get_expected_image_size`.
        signature: name of the signature; ``"default"`` if None.
        input_name: name of the input for images; ``"images"`` if None.

    Raises:
        SignatureError: no such signature or input.
        FormatError: the input's shape does not tell.
        InputError: ``module_or_spec`` is none of these.

    Example:

    >>> from hub_keras_bridge.publishing.authoring import add_signature, create_module_spec
    >>> def module_fn():
    ...     images = tf.compat.v1.placeholder(tf.float32, [None, None, None, 1])
    ...     add_signature(inputs={"images": images}, outputs=tf.reduce_mean(images, [1, 2, 3]))
    >>> get_num_image_channels(create_module_spec(module_fn))
    1
    """
    images = _image_input(_describing(module_or_spec), signature, input_name)
    *_, channels = images.dimensions
    if channels is None:
        raise images.lacks("number of channels")
    return channels


class VariantOfSpec:
    """A ModuleSpec seen from one variant, as a Module is."""

    def __init__(self, spec: ModuleSpec, tags: Collection[str] | None) -> None:
        self._variant = spec.variant(tags)
        self._spec = spec
        self.subject = self._variant.subject

    def get_input_info_dict(self, signature: str | None = None) -> dict[str, ParsedTensorInfo]:
        """Dtype, shape and kind of each input of a signature."""
        return self._variant.signature(signature).inputs

    def get_attached_message(self, key: str, message_type: type, required: bool = False) -> Any:
        """The message that the publisher attached under ``key``."""
        return self._spec.get_attached_message(key, message_type, self._variant.tags, required)


def _describing(module_or_spec: Any) -> Any:
    """What has ``get_input_info_dict(signature)`` and ``get_attached_message``."""
    if hasattr(module_or_spec, "get_attached_message"):
        return module_or_spec
    if isinstance(module_or_spec, str | os.PathLike):
        return load_module_spec(module_or_spec)
    if not hasattr(module_or_spec, "spec"):
        raise InputError(
            "Cannot tell which images a TF1 Hub module expects.",
            expected="a ModuleSpec, hub.Module or hub.ModuleLayer, or a module's handle",
            found=f"{type(module_or_spec).__name__}: {module_or_spec!r}",
            advice="pass the module itself, not what it returned",
        )
    # A layer; its config is where it tells which variant it runs.
    return VariantOfSpec(module_or_spec.spec, module_or_spec.get_config()["tags"])


@dataclass(frozen=True)
class _ImageInput:
    """What a signature says of its input for images."""

    name: str
    shape: tf.TensorShape
    subject: Subject

    @property
    def dimensions(self) -> list[int | None]:
        """Batch, height, width and channels; None for what is unknown.

        Raises:
            FormatError: the shape has not these four.
        """
        if self.shape.rank != 4:
            raise self.lacks("four dimensions")
        return self.shape.as_list()

    def lacks(self, wanted: str) -> FormatError:
        """The error for a shape that does not tell what was asked."""
        return FormatError(
            "Cannot tell which images a TF1 Hub module expects.",
            self.subject,
            expected=f"input {self.name!r} of shape [batch, height, width, channels] "
            f"with known {wanted}",
            found=f"shape {show_shape(self.shape)}",
            advice="see the module's documentation for it; its publisher can declare a size with "
            "attach_image_module_info",
        )


def _image_input(module: Any, signature: str | None, input_name: str | None) -> _ImageInput:
    name = input_name or IMAGES_INPUT
    subject = getattr(module, "subject", Subject()).with_signature(signature or DEFAULT_SIGNATURE)
    inputs = module.get_input_info_dict(signature)
    if name not in inputs:
        raise SignatureError(
            f"A signature of a TF1 Hub module has no input {name!r} for images.",
            subject,
            expected=f"one of {choices(inputs)}",
            found=repr(name),
            advice="pass the name of the input that takes images as input_name=..., or another "
            "signature=...",
        )
    return _ImageInput(name, inputs[name].get_shape(), subject)
