"""What size of image a module expects, and how many channels.

A publisher may have attached an ``ImageModuleInfo``; without one, the shape of the
input says it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from hub_keras_bridge.errors import FormatError, SignatureError, Subject
from hub_keras_bridge.errors.words import choices, show_shape
from hub_keras_bridge.facts.signatures import DEFAULT_SIGNATURE
from hub_keras_bridge.publishing.described import described
from hub_keras_bridge.publishing.image_info import get_image_module_info

IMAGES_INPUT = "images"


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

    >>> from hub_keras_bridge.publishing.module_fn import add_signature, create_module_spec
    >>> def module_fn():
    ...     images = tf.compat.v1.placeholder(tf.float32, [None, 28, 32, 1])
    ...     add_signature(inputs={"images": images}, outputs=tf.reduce_mean(images, [1, 2, 3]))
    >>> get_expected_image_size(create_module_spec(module_fn))
    [28, 32]
    """
    module = described(module_or_spec)
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

    >>> from hub_keras_bridge.publishing.module_fn import add_signature, create_module_spec
    >>> def module_fn():
    ...     images = tf.compat.v1.placeholder(tf.float32, [None, None, None, 1])
    ...     add_signature(inputs={"images": images}, outputs=tf.reduce_mean(images, [1, 2, 3]))
    >>> get_num_image_channels(create_module_spec(module_fn))
    1
    """
    images = _image_input(described(module_or_spec), signature, input_name)
    *_, channels = images.dimensions
    if channels is None:
        raise images.lacks("number of channels")
    return channels


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
