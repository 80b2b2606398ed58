"""The door to private names of Keras.

Each function says what it reaches for and why no public name serves. Imported
whole, as ``private_keras``.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common import global_state, symbolic_scope
from keras.src.saving import serialization_lib


def raw_variable(variable: keras.Variable) -> tf.Variable:
    """The TensorFlow variable inside a Keras variable.

    ``Variable.value`` is public but hands out a cast copy inside an autocast
    scope, and the module computes in the dtypes it was published with.
    """
    return variable._value  # noqa: SLF001


def value_for_tensorflow(variable: keras.Variable) -> tf.Variable | np.ndarray:
    """What TensorFlow reads a variable's value from, whatever Keras computes with."""
    held = raw_variable(variable)
    return held if isinstance(held, tf.Variable) else keras.ops.convert_to_numpy(held)


def to_numpy(variable: keras.Variable) -> np.ndarray:
    """The value that a variable holds, in its own dtype; see :func:`raw_variable`."""
    return keras.ops.convert_to_numpy(raw_variable(variable))


class HeldVariable(keras.Variable):
    """A Keras variable around a TensorFlow variable that is there already.

    A restored function has captured its variables. Keras makes a variable of
    its own from whatever it is given, in its early versions always.

    Args:
        held: the variable.
        name: for Keras, without a slash.
        trainable: whether Keras trains it.
    """

    def __init__(self, held: tf.Variable, *, name: str, trainable: bool) -> None:
        self._held = held
        super().__init__(
            lambda *_, **__: None,
            shape=held.shape,
            dtype=held.dtype.name,
            trainable=trainable,
            name=name,
        )

    def _initialize(self, value: Any) -> None:  # noqa: ARG002
        self._value = self._held

    def _initialize_with_initializer(self, initializer: Any) -> None:  # noqa: ARG002
        self._value = self._held

    def move_to(self, other: tf.Variable) -> None:
        """Holds another variable from now on, with the value of this one."""
        other.assign(self._held)
        # By this a Keras optimizer, which may know the variable already, tells it. A
        # distributed variable has that of its first copy.
        first = getattr(other, "_primary", other)
        first._unique_id = self._held._unique_id  # noqa: SLF001
        self._held = self._value = other


def take_inputs_as_they_are(layer: keras.layers.Layer) -> None:
    """Stops Keras from converting a layer's inputs before ``call``.

    Keras would cast floats to the policy's dtype, take a list of strings
    apart, and refuse anything but tensors.
    """
    layer._convert_input_args = False  # noqa: SLF001
    layer._allow_non_tensor_positional_args = True  # noqa: SLF001


def forget_weights(layer: keras.layers.Layer) -> None:
    """Takes back the weights of a layer whose building failed.

    Keras only ever adds weights; a second try would have each twice.
    """
    for weight in [*layer._trainable_variables, *layer._non_trainable_variables]:  # noqa: SLF001
        layer._untrack_variable(weight)  # noqa: SLF001


class OwnLosses(keras.layers.Layer):
    """A layer whose losses are computed when asked for.

    Keras offers losses per call (``add_loss``) and per weight (regularizers);
    a loss over several weights, current at any time, needs this hook. A parent
    model collects its layers' losses through it too.
    """

    def standing_losses(self) -> list[tf.Tensor]:
        """Losses that exist between calls, computed from current weights."""
        return []

    def _get_own_losses(self) -> list[Any]:
        return [*super()._get_own_losses(), *self.standing_losses()]


def all_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers in a model, at any depth, each once.

    Keras's public ``layers`` lists one level, and none inside a custom layer; a
    ``tf.train.TrackableView`` misses what a layer holds in lists and dicts.
    """
    return list(model._flatten_layers(include_self=False))  # noqa: SLF001


@contextlib.contextmanager
def outside_stateless_scope() -> Iterator[None]:
    """Lets variables be made at once while Keras traces a model's shapes.

    Keras puts that off, since a weight's shape may depend on what it traces. A
    module's does not, and its graph takes handles, which only a variable has.
    """
    scope = global_state.get_global_attribute("stateless_scope")
    global_state.set_global_attribute("stateless_scope", None)
    try:
        yield
    finally:
        global_state.set_global_attribute("stateless_scope", scope)


@contextlib.contextmanager
def device_with_values() -> Iterator[None]:
    """On PyTorch, lets tensors be made with values while Keras traces a model's shapes.

    For that Keras changes to the device "meta", and no public name tells the device
    that it would use otherwise.
    """
    from keras.src.backend.torch import core

    if str(core.get_device()) != "meta":
        yield
        return
    with keras.device(core.DEFAULT_DEVICE):
        yield


@contextlib.contextmanager
def beside_layer_being_built() -> Iterator[None]:
    """Lets a layer be built in the scope around the one that is being built.

    Keras puts the names of layers that are built in one another into the paths of
    variables, by which state trees and optimizers' files find them. No public name
    leaves a scope that was entered.
    """
    scopes = global_state.get_global_attribute("name_scope_stack")
    innermost = scopes.pop()
    try:
        yield
    finally:
        scopes.append(innermost)


def is_stateless() -> bool:
    """Whether Keras is to leave variables alone, and is told of new values instead.

    ``stateless_call`` makes such a scope, public names too, but do not tell whether
    one is open. While Keras traces shapes, nothing runs, though one is.
    """
    return (
        global_state.get_global_attribute("stateless_scope") is not None
        and not symbolic_scope.in_symbolic_scope()
    )


def current_value(variable: keras.Variable) -> tf.Tensor | tf.Variable:
    """The value that a scope gives a variable, or what holds its own.

    ``Variable.value`` is public but hands out a cast copy inside an autocast scope.
    """
    scope = global_state.get_global_attribute("stateless_scope")
    value = None if scope is None else scope.get_current_value(variable)
    return raw_variable(variable) if value is None else value


def has_stand_ins(variables: Iterable[keras.Variable]) -> bool:
    """Whether Keras is to compute with other values than some variables hold."""
    scope = global_state.get_global_attribute("stateless_scope")
    return scope is not None and any(scope.get_current_value(v) is not None for v in variables)


def outermost_layer() -> keras.layers.Layer | None:
    """The layer or model whose call is under way, around those of all layers in it.

    Layers ask a context what call they are in; no public name tells it.
    """
    context = global_state.get_global_attribute("current_call_ctx")
    return None if context is None else context.entry_layer


def loads_in_safe_mode() -> bool:
    """Whether ``keras.models.load_model`` is running with ``safe_mode=True``.

    Keras tells its own layers so; it has no public name for it.
    """
    return bool(serialization_lib.in_safe_mode())


class Operation:
    """A call of Keras's that is running: one object as long as it runs."""


_OPERATION = "_hub_keras_bridge_operation"


def operation_in_progress() -> Operation | None:
    """The call of Keras's that all else of Keras's runs in; None if there is none.

    ``clone_model`` and a model's ``from_config`` rebuild layer by layer, and tell no
    layer what they rebuild with it. The object lies among the locals of the call, so
    that it goes when that ends: nothing else of a frame can be referred to weakly.
    """
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001
    outermost = None
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("keras."):
            outermost = frame
        frame = frame.f_back
    if outermost is None:
        return None
    if _OPERATION not in outermost.f_locals:
        outermost.f_locals[_OPERATION] = Operation()
    found: Operation = outermost.f_locals[_OPERATION]
    return found
