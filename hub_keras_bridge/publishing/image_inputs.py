"""Which inputs of a signature take images, whose colours go from 0 to 1.

The common signatures for images say that of them; no dtype and no shape does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hub_keras_bridge.facts.signatures import DEFAULT_SIGNATURE
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.publishing.common_kinds import KINDS
from hub_keras_bridge.publishing.expected_images import IMAGES_INPUT
from hub_keras_bridge.publishing.image_info import IMAGE_MODULE_INFO_KEY

_SIGNATURES = {
    name
    for kind in KINDS.values()
    for name in kind.signatures
    if kind.input_name == IMAGES_INPUT and name != DEFAULT_SIGNATURE
}


def image_inputs(
    signature: str, inputs: Mapping[str, ParsedTensorInfo], attachments: Collection[str]
) -> list[str]:
    """The inputs that take images.

    >>> import tensorflow as tf
    >>> info = ParsedTensorInfo.from_type_spec(tf.TensorSpec([None, 8, 8, 3]))
    >>> image_inputs("default", {"images": info}, []), image_inputs("default", {"x": info}, [])
    (['images'], [])
    >>> image_inputs("image_classification", {"x": info}, [])
    ['x']

    Args:
        signature: its name.
        inputs: what it says of them.
        attachments: keys of what the publisher attached to the module.

    Returns:
        Those called ``"images"``; all in the shape of images, where the signature has a
        name for such alone, or the publisher declared a size of images.
    """
    says_so = signature in _SIGNATURES or IMAGE_MODULE_INFO_KEY in attachments
    return [
        name
        for name, info in inputs.items()
        if _has_shape_of_images(info) and (says_so or name == IMAGES_INPUT)
    ]


def _has_shape_of_images(info: ParsedTensorInfo) -> bool:
    return not info.is_composite and info.dtype.is_floating and info.get_shape().rank == 4
