"""What a TF2 SavedModel takes: values in, tensors of the dtypes it was traced for out.

That is one value, or a nest: a dict, a list or a tuple, of values or of nests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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
    return mapped(specs, inputs, subject, _filled)


def unmixed(specs: Any, inputs: Any, subject: Subject) -> Any:
    """The inputs; of a nest with some tensors, the other values made tensors too.

    Keras, unless it converts inputs by itself, takes no nest of both.

    Raises:
        InputError: such a nest does not fit.
    """
    if not tf.nest.is_nested(specs) or len(set(map(is_tensor, tf.nest.flatten(inputs)))) < 2:
        return inputs
    return converted(specs, inputs, subject)


def undecided(specs: Any, inputs: Any, subject: Subject) -> list[str]:
    """Which symbols of Keras's fit or not by their values, each with its dtypes.

    Args:
        specs: as of :func:`converted`.
        inputs: dense symbols are looked at, other values are not.
        subject: for messages.

    Raises:
        InputError: names do not fit, or a symbol can never fit.
    """
    found: list[str | None] = []

    def look(slot: Slot, value: Any) -> None:
        if _is_dense_symbol(value) and not slot.info.is_composite:
            found.append(slot.check_symbol(value.shape, tf.as_dtype(value.dtype)))

    mapped(specs, inputs, subject, look)
    return list(filter(None, found))


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


def _filled(slot: Slot, value: Any) -> Any:
    return value if isinstance(value, keras.KerasTensor) else slot.fill(value)


def _is_dense_symbol(value: Any) -> bool:
    if not isinstance(value, keras.KerasTensor):
        return False
    return not (getattr(value, "sparse", False) or getattr(value, "ragged", False))


def mapped(
    spec: Any,
    value: Any,
    subject: Subject,
    make: Callable[[Slot, Any], Any],
    name: str = "inputs",
) -> Any:
    """What is made of each value, in the nest that the specs are in.

    Args:
        spec: as of :func:`converted`.
        value: one value, or a nest of them.
        subject: for messages.
        make: makes it, of the input and its value.
        name: of the only input, or of the nest, for messages.

    Raises:
        InputError: names or numbers of values do not fit.
    """
    if isinstance(spec, Mapping):
        _need_keys(spec, value, subject)
        return {key: mapped(each, value[key], subject, make, key) for key, each in spec.items()}
    if type(spec) in (list, tuple):
        _need_length(spec, value, subject)
        pairs = enumerate(zip(spec, value, strict=True))
        return type(spec)(mapped(one, v, subject, make, f"{name}[{i}]") for i, (one, v) in pairs)
    if not isinstance(spec, tf.TypeSpec):
        return value  # A nest of another kind is TensorFlow's to check.
    return make(Slot(name, ParsedTensorInfo.from_type_spec(spec), subject), value)


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
