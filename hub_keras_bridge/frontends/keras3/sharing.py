"""Layers that share weights, in Keras's configs.

Keras writes an object that several layers hold once into a file, and finds it again.
``clone_model`` and a model's ``from_config`` rebuild each layer by itself, and find
nothing. The configs of layers that share weights therefore name these weights, and
what Keras rebuilds at once has one layer for each name.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import keras

from hub_keras_bridge.compat import keras as private_keras
from hub_keras_bridge.frontends.keras3.content_layer import ContentLayer, WeightsOf

Layer = TypeVar("Layer", bound=ContentLayer)

_NAME = "weights_name"
_CHOICE = "choice"


def config_on(holder: ContentLayer, described: Any) -> dict[str, Any]:
    """What the config of a layer has in place of a handle: the layer that holds its weights.

    Args:
        holder: that one.
        described: what :meth:`Content.describe_choice` says of the layer.
    """
    return {"handle": keras.saving.serialize_keras_object(holder), _CHOICE: described}


def config_of_holder(layer: ContentLayer) -> dict[str, str]:
    """What the config of a layer has besides, if others share its weights."""
    return {_NAME: layer.weights_name} if layer.weights_name else {}


def revive(config: dict[str, Any]) -> WeightsOf | None:
    """What :func:`config_on` told of, taken out of a config; None if there is none."""
    if not isinstance(config["handle"], dict):
        return None
    holder, described = dict(config.pop("handle")), config.pop(_CHOICE, None)
    # It is built with the layer, in whatever scope that is built.
    holder.pop("build_config", None)
    name, rebuilt = holder["config"][_NAME], _rebuilt_at_once()
    if name not in rebuilt.layers:
        # Unless it is told, Keras is in safe mode here, and only here.
        safe_mode = private_keras.loads_in_safe_mode()
        rebuilt.layers[name] = keras.saving.deserialize_keras_object(holder, safe_mode=safe_mode)
        rebuilt.for_others.add(name)
    return WeightsOf(rebuilt.layers[name], described)


def rebuild(config: dict[str, Any], make: Callable[[dict[str, Any]], Layer]) -> Layer:
    """The layer that a config tells of, which may have been rebuilt for others already.

    Args:
        config: that of a layer; a name of its weights is taken out of it.
        make: makes the layer of its config.
    """
    name = config.pop(_NAME, None)
    if name is None:
        return make(config)
    rebuilt = _rebuilt_at_once()
    if name in rebuilt.for_others:
        rebuilt.for_others.remove(name)
        found: Layer = rebuilt.layers[name]
        return found
    made = make(config)
    rebuilt.layers[name] = made
    return made


@dataclass(frozen=True)
class _Rebuilt:
    """What one operation of Keras's has rebuilt.

    Attributes:
        layers: name of shared weights -> the layer that holds them.
        for_others: the names of those that were rebuilt for layers on their weights
            alone, and not in their own turn yet.
    """

    layers: dict[str, Any] = field(default_factory=dict)
    for_others: set[str] = field(default_factory=set)


_by_operation: weakref.WeakKeyDictionary[private_keras.Operation, _Rebuilt]
_by_operation = weakref.WeakKeyDictionary()


def _rebuilt_at_once() -> _Rebuilt:
    """What the operation in progress has rebuilt by now; nothing, if there is none."""
    operation = private_keras.operation_in_progress()
    return _Rebuilt() if operation is None else _by_operation.setdefault(operation, _Rebuilt())
