"""From a number of examples to one tensor per input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from hub_keras_bridge.errors import InputError, Subject
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.facts.feeding import Slot
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo


def to_column(values: Any, name: str, info: ParsedTensorInfo, subject: Subject) -> Any:
    """A number of examples as one tensor of an input's kind and dtype.

    Args:
        values: a list or an array, an example each.
        name: the input's name.
        info: what the signature says of it; the number of examples may differ.
        subject: module, tags and signature, for messages.

    Raises:
        InputError: a value does not fit.

    >>> pairs = ParsedTensorInfo(tf.TensorSpec([8, 2], tf.float32), ("x:0",))
    >>> to_column([[1, 2], [3, 4], [5, 6]], "x", pairs, Subject()).shape
    TensorShape([3, 2])
    """
    return Slot(name, _of_any_number(info), subject).fill(values)


def to_columns(
    examples: Sequence[Any], inputs: Mapping[str, ParsedTensorInfo], subject: Subject
) -> dict[str, Any]:
    """A number of examples as one tensor per input.

    Args:
        examples: each a dict by input name, other keys are passed over; or the
            value of the only input.
        inputs: what the signature says of each input.
        subject: module, tags and signature, for messages.

    Raises:
        InputError: a value is missing or does not fit.
    """
    rows = [_by_name(example, inputs, subject) for example in examples]
    return {
        name: to_column(_stacked([row[name] for row in rows]), name, info, subject)
        for name, info in inputs.items()
    }


def _by_name(
    example: Any, inputs: Mapping[str, ParsedTensorInfo], subject: Subject
) -> Mapping[str, Any]:
    if not isinstance(example, Mapping) and len(inputs) == 1:
        return dict.fromkeys(inputs, example)
    if not isinstance(example, Mapping) or not inputs.keys() <= example.keys():
        is_dict = isinstance(example, Mapping)
        raise InputError(
            "Cannot feed an example to a TF1 Hub module.",
            subject,
            expected=f"a dict with the keys {choices(inputs)}",
            found=f"the keys {choices(map(str, example))}" if is_dict else type(example).__name__,
            advice="give each example a value for each input",
        )
    return example


def _stacked(values: list[Any]) -> Any:
    """Arrays of one shape as one array, which keeps their dtype; else as they are."""
    if not all(isinstance(value, np.ndarray | np.generic) for value in values):
        return values
    same = len({value.shape for value in values}) == 1
    return np.stack(values) if same else [value.tolist() for value in values]


def _of_any_number(info: ParsedTensorInfo) -> ParsedTensorInfo:
    """The same input, in batches of any size."""
    spec = info.type_spec
    if not isinstance(spec, tf.TensorSpec) or not spec.shape.rank:
        return info
    return ParsedTensorInfo(tf.TensorSpec([None, *spec.shape[1:]], spec.dtype), info.tensor_names)
