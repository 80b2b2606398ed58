"""The common signatures for text and images: a row of a table for each kind of module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import tensorflow as tf

from hub_keras_bridge.facts.signatures import DEFAULT_SIGNATURE
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.publishing.expected_images import IMAGES_INPUT


@dataclass(frozen=True)
class Dimension:
    """One dimension of a tensor of a common signature.

    Attributes:
        name: what it counts, or its size where that is given.
        fits: whether a static size, None if free, is as it should be.
        note: what ``fits`` asks, unless the name says it.
    """

    name: str
    fits: Callable[[int | None], bool]
    note: str = ""


def _known(name: str) -> Dimension:
    return Dimension(name, lambda size: size is not None, f"a known {name}")


_BATCH = Dimension("batch", lambda size: size is None, "any batch")
# Free or not: the size of images is checked on its own, since it may be attached.
_HEIGHT, _WIDTH = (Dimension(name, lambda _: True) for name in ("height", "width"))
_RGB = Dimension("3", lambda size: size == 3)


@dataclass(frozen=True)
class TensorRule:
    """What a dense tensor of a common signature is."""

    dtype: tf.DType
    dimensions: tuple[Dimension, ...]

    def fits(self, info: ParsedTensorInfo) -> bool:
        """Whether an input or output is as the rule says."""
        shape = info.get_shape()
        return (
            isinstance(info.type_spec, tf.TensorSpec)
            and info.dtype == self.dtype
            and shape.rank == len(self.dimensions)
            # Not the shape itself, whose sizes are objects after disable_v2_behavior().
            and all(r.fits(size) for r, size in zip(self.dimensions, shape.as_list(), strict=True))
        )

    def __str__(self) -> str:
        """
        >>> print(TensorRule(tf.float32, (_BATCH, _known("dim"))))
        float32 [batch, dim] with any batch and a known dim
        """
        shape = ", ".join(rule.name for rule in self.dimensions)
        notes = " and ".join(rule.note for rule in self.dimensions if rule.note)
        return f"{self.dtype.name} [{shape}] with {notes}"


@dataclass(frozen=True)
class Kind:
    """A common signature.

    Attributes:
        signatures: the names it goes by; the first one that a module has counts.
        input: what its only input is.
        input_name: how that is called; None where any name will do.
        output: what the output ``"default"`` is; there may be others.
    """

    signatures: tuple[str, ...]
    input: TensorRule
    input_name: str | None
    output: TensorRule


_IMAGES = TensorRule(tf.float32, (_BATCH, _HEIGHT, _WIDTH, _RGB))

KINDS: Mapping[str, Kind] = {
    "text-embedding": Kind(
        signatures=(DEFAULT_SIGNATURE,),
        input=TensorRule(tf.string, (_BATCH,)),
        input_name=None,
        output=TensorRule(tf.float32, (_BATCH, _known("dim"))),
    ),
    "image-feature-vector": Kind(
        signatures=("image_feature_vector", DEFAULT_SIGNATURE),
        input=_IMAGES,
        input_name=IMAGES_INPUT,
        output=TensorRule(tf.float32, (_BATCH, _known("dim"))),
    ),
    "image-classification": Kind(
        # A default signature of this shape may as well give feature vectors.
        signatures=("image_classification",),
        input=_IMAGES,
        input_name=IMAGES_INPUT,
        output=TensorRule(tf.float32, (_BATCH, _known("num_classes"))),
    ),
}
