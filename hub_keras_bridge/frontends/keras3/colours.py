"""Warns where a layer for images is given colours from 0 to 255, not from 0 to 1.

The module computes something then, only not what it learned to. What such values are is
seen of what has values in the first calls. In a graph nothing has; there it is
seen of integers, which Keras casts in ``fit`` before a layer is called, so that the graph
is followed back to them.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
from absl import logging

from hub_keras_bridge.errors import Subject
from hub_keras_bridge.plans.endpoint import Endpoint
from hub_keras_bridge.publishing.image_inputs import image_inputs

# Colours that were made to have mean 0 and deviation 1 hardly go beyond.
_FAR_ABOVE_ONE = 5.0

# On a GPU each look waits for what was computed before.
_LOOKS = 10

# Ops that leave colours as they are, of their first input.
_KEEPING = {
    *("Cast", "EnsureShape", "ExpandDims", "GatherV2", "Identity", "Reshape", "ReverseV2"),
    *("MirrorPad", "Pad", "PadV2", "Slice", "Squeeze", "StridedSlice", "Transpose"),
    *("ResizeArea", "ResizeBicubic", "ResizeBilinear", "ResizeNearestNeighbor"),
}


class ColourCheck:
    """Looks at the first images that one layer is given, until there was something to warn of."""

    def __init__(self, endpoint: Endpoint) -> None:
        inputs, attached = endpoint.facts.inputs, endpoint.variant.attachments
        self._names = image_inputs(endpoint.signature, inputs, attached)
        self._looks = 0

    def look(self, subject: Subject, other_colours: Callable[[str], str | None]) -> None:
        """Warns if images have colours that they should not.

        Args:
            subject: what is called.
            other_colours: of an input, what it has in place of colours from 0 to 1, if that is
                seen.
        """
        if self._looks == _LOOKS:
            return
        self._looks += 1
        for name in self._names:
            if found := other_colours(name):
                self._looks = _LOOKS
                logging.warning(
                    "Input %r takes images with colours from 0 to 1, and is given %s (%s); "
                    "put keras.layers.Rescaling(1 / 255) before the layer",
                    name,
                    found,
                    subject,
                )
                return


def other_colours(images: tf.Tensor) -> str | None:
    """What a tensor of images has in place of colours from 0 to 1, if that is seen."""
    if not hasattr(images, "numpy"):
        return without_rescaling(_first_dtype(images))
    return far_above_one(float(tf.reduce_max(images)))


def without_rescaling(dtype: tf.DType) -> str | None:
    """Tells of integers, which are no colours from 0 to 1."""
    return f"{dtype.name} without rescaling" if dtype.is_integer else None


def far_above_one(largest: float) -> str | None:
    """Tells of colours of which the largest is none from 0 to 1."""
    return f"values up to {largest:g}" if largest > _FAR_ABOVE_ONE else None


def _first_dtype(tensor: tf.Tensor) -> tf.DType:
    """The dtype in which colours came into the graph that is being built."""
    while tensor.op.type in _KEEPING:
        tensor = tensor.op.inputs[0]
    return tensor.dtype
