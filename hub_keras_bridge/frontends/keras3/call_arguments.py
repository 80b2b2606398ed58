"""How people write a layer's call: its inputs at once or one by one, and whether it trains."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from hub_keras_bridge.errors import InputError
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.frontends.keras3.content import Content

_INPUTS, _TRAINING = "inputs", "training"

# What Keras gives any layer beside its own arguments.
_OF_KERAS = (_TRAINING, "mask")


def are_plain(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call has nothing beside its inputs but the word on training."""
    return not args and (not kwargs or kwargs.keys() == {_TRAINING})


def gathered(
    call: Any, content: Content, inputs: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """The inputs as one value or a dict, and the arguments that are none.

    Args:
        call: the layer's ``call``, which a subclass may give further parameters.
        content: what it runs.
        inputs: the first positional argument, or None.
        args: the other positional arguments.
        kwargs: the keyword arguments.

    Returns:
        What ``call`` is to have as ``inputs``, and its other arguments by name.

    Raises:
        InputError: there are several positional inputs, whose order nobody knows, or
            names that neither the call nor the signature has.
    """
    parameters = list(inspect.signature(call).parameters)
    others = dict(zip(parameters[1:], args, strict=False))
    if len(args) >= len(parameters) or not _is_flag(others.get(_TRAINING)):
        raise _positional(content, 1 + len(args))
    others |= {name: value for name, value in kwargs.items() if name in parameters}
    named = {name: value for name, value in kwargs.items() if name not in others}
    unknown = [n for n in named if n not in content.input_names and n not in _OF_KERAS]
    if unknown:
        raise _unknown(content, unknown)
    others |= {name: named.pop(name) for name in _OF_KERAS if name in named}
    if not named:
        return inputs, others
    if inputs is not None:
        if _INPUTS not in content.input_names or isinstance(inputs, Mapping):
            raise _positional(content, 1)
        named[_INPUTS] = inputs
    return named, others


def _is_flag(value: Any) -> bool:
    if value is None or isinstance(value, bool | np.bool_):
        return True
    return hasattr(value, "dtype") and tf.as_dtype(value.dtype).is_bool and not len(value.shape)


def training_call(training: Any) -> bool | tf.Tensor:
    """Whether a call trains: a truth value, or a tensor of a graph that will tell."""
    if training is None or isinstance(training, bool):
        return bool(training)
    if not tf.is_tensor(training):
        return bool(training)
    value = tf.get_static_value(tf.convert_to_tensor(training))
    return tf.cast(training, tf.bool) if value is None else bool(value)


def _positional(content: Content, count: int) -> InputError:
    names = list(content.input_names)
    if len(names) < 2:
        expected, advice = "one value", "pass one value, or one nest of values"
    else:
        by_keyword = ", ".join(f"{name}=..." for name in names)
        expected = f"inputs by name: {choices(names)}"
        advice = f"name them: layer({by_keyword}), or pass one dict with these keys"
    return InputError(
        f"Cannot tell which inputs of a {content.kind} positional values are meant for.",
        content.call_subject,
        expected=expected,
        found=f"{count} positional values" if count > 1 else "a positional value beside named ones",
        advice=advice,
    )


def _unknown(content: Content, names: Sequence[str]) -> InputError:
    known = [*content.input_names, _TRAINING]
    return InputError(
        f"Cannot call a {content.kind} with these keyword arguments.",
        content.call_subject,
        expected=f"some of {choices(known)}",
        found=choices(names),
        advice="name the inputs as the signature does, or pass them as one value or dict",
    )
