"""What a TF2 SavedModel takes: values in, tensors of the dtypes it was traced for out.

That is one value, or a nest: a dict, a list or a tuple, of values or of nests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from hub_keras_bridge.errors import InputError, Subject
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.facts.feeding import Slot
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.plans.endpoint import is_tensor


def converted(specs: Any, inputs: Any, subject: Subject) -> Any:
    """The inputs as tensors, in the nest that the specs are in.

    >>> specs = [tf.TensorSpec([None], tf.int64), {"x": tf.TensorSpec([], tf.float64)}]
    >>> first, second = converted(specs, ([1, 2], {"x": 3}), Subject("doubler"))
    >>> first.dtype, float(second["x"])
    (tf.int64, 3.0)

    Args:
        specs: dtypes and shapes, one ``tf.TypeSpec`` or a nest of them.
        inputs: a list may stand for a tuple. Symbols of Keras's stay as they are.
        subject: for messages.

    Raises:
        InputError: they do not fit.
    """
    return _convert(specs, inputs, "inputs", subject)


def unmixed(specs: Any, inputs: Any, subject: Subject) -> Any:
    """The inputs; of a nest with some tensors, the other values made tensors too.

    Keras, unless it converts inputs by itself, takes no nest of both.

    Raises:
        InputError: such a nest does not fit.
    """
    if not tf.nest.is_nested(specs) or len(set(map(is_tensor, tf.nest.flatten(inputs)))) < 2:
        return inputs
    return converted(specs, inputs, subject)


def named(specs: Any, name: str) -> dict[str, ParsedTensorInfo]:
    """What is known of each value in a nest, by the name that messages give it.

    >>> specs = [tf.TensorSpec([None], tf.int64), {"x": tf.TensorSpec([], tf.float64)}]
    >>> {name: str(info) for name, info in named(specs, "inputs").items()}
    {'inputs[0]': 'int64 [?]', 'x': 'float64 []'}
    """
    if isinstance(specs, tf.TypeSpec):
        return {name: ParsedTensorInfo.from_type_spec(specs)}
    inside: Iterable[tuple[str, Any]] = ()
    if isinstance(specs, Mapping):
        inside = sorted(specs.items())
    elif isinstance(specs, list | tuple):
        inside = ((f"{name}[{index}]", spec) for index, spec in enumerate(specs))
    return {key: info for inner, spec in inside for key, info in named(spec, inner).items()}


def _convert(spec: Any, value: Any, name: str, subject: Subject) -> Any:
    if isinstance(spec, Mapping):
        _need_keys(spec, value, subject)
        return {key: _convert(each, value[key], key, subject) for key, each in spec.items()}
    if type(spec) in (list, tuple):
        _need_length(spec, value, subject)
        pairs = enumerate(zip(spec, value, strict=True))
        return type(spec)(_convert(one, v, f"{name}[{i}]", subject) for i, (one, v) in pairs)
    if not isinstance(spec, tf.TypeSpec) or isinstance(value, keras.KerasTensor):
        return value  # A nest of another kind is TensorFlow's to check.
    return Slot(name, ParsedTensorInfo.from_type_spec(spec), subject).fill(value)


def _need_keys(specs: Mapping[str, Any], value: Any, subject: Subject) -> None:
    is_mapping = isinstance(value, Mapping)
    if is_mapping and specs.keys() == value.keys():
        return
    raise InputError(
        "Unexpected input names in a call of a TF2 SavedModel.",
        subject,
        expected=f"a dict with the keys {choices(specs)}",
        found=choices(map(str, value)) if is_mapping else type(value).__name__,
        advice="pass a dict from input name to value",
    )


def _need_length(specs: Sequence[Any], value: Any, subject: Subject) -> None:
    is_sequence = isinstance(value, list | tuple)
    if is_sequence and len(value) == len(specs):
        return
    raise InputError(
        "Cannot call a TF2 SavedModel: its inputs are a list.",
        subject,
        expected=f"a list of {len(specs)} values",
        found=f"{len(value)} values" if is_sequence else type(value).__name__,
        advice="pass the inputs in a list, in the order that the model was made with",
    )
