"""A layer that runs a content: its own, or that of another layer, on the weights of that."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import keras

from hub_keras_bridge.frontends.keras3.choice import Choice
from hub_keras_bridge.frontends.keras3.content import Content
from hub_keras_bridge.running.frozen_call import FrozenCall


class ContentLayer(keras.layers.Layer):
    """What layers are that share their weights, and those whose weights they share.

    The layer that holds the weights is a part of each layer that shares them. So
    Keras lists, saves and trains them once, however many of these layers a model has.

    Attributes:
        weights_of: the layer that holds the weights; None if it is this one.
        weights_name: what configs call the weights; None if no other layer shares them.
    """

    weights_of: ContentLayer | None
    weights_name: str | None = None
    _own: Content
    _derived: _Derived

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Not of the class, where it would be found before what a torch.nn.Module holds.
        self.weights_of = None
        super().__init__(*args, **kwargs)

    def _take(self, content: Content) -> None:
        self._own = content
        for attribute, value in content.tracked.items():
            setattr(self, attribute, value)

    def _share(self, weights: WeightsOf, choice: Choice) -> None:
        self.weights_of = weights.layer
        weights.layer.weights_name = weights.layer.weights_name or uuid.uuid4().hex
        self._derived = _Derived(choice, weights.described)

    @property
    def _content(self) -> Content:
        if self.weights_of is None:
            return self._own
        # That one's changes when Keras loads an archive.
        source = self.weights_of._content  # noqa: SLF001
        return self._derived.of(source, self.weights_of.trainable)

    def frozen(self, choice: Choice | None = None) -> FrozenCall:
        """An inference call with the weights as they are now.

        Args:
            choice: the signature and the outputs, where it names some; else the layer's.

        Raises:
            HandleError: the graphs are not here.
            ConversionError: the call needs its variables, not their values alone.
        """
        self._content.need_here("compile")
        self._ensure_built()
        content = self._content
        chosen = content.choice.calling(choice) if choice else content.choice
        if chosen != content.choice:
            content = content.choosing(chosen, trainable=False)
        return content.frozen()

    @property
    def backend_route(self) -> str:
        """How calls with ``training=False`` reach TensorFlow, which runs the graph.

        Where Keras computes with TensorFlow there is nothing to reach. In a program of
        JAX's (``fit``, ``predict``, ``jax.jit``) the graph is a part of it if XLA can
        compile all ops for the shapes at hand, else the program calls TensorFlow back;
        the answer names the ops then. Shapes are known once there was a call.

        Example:

        >>> import tensorflow as tf, hub_keras_bridge as hub
        >>> def module_fn():
        ...     x = tf.compat.v1.placeholder(tf.float32, [None, 2])
        ...     hub.add_signature(inputs=x, outputs=2 * x)
        >>> hub.ModuleLayer(hub.create_module_spec(module_fn)).backend_route
        'TensorFlow, with which Keras computes'
        """
        self._content.need_here("run")
        self._ensure_built()
        return self._content.route()

    def _ensure_built(self) -> None:
        if not self.built:
            self.build()

    @property
    def trainable(self) -> bool:
        """Whether the weights are trained: for all layers that share them, the same."""
        return bool(self._trainable if self.weights_of is None else self.weights_of.trainable)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        if value and hasattr(self, "_content"):
            self._content.need_trainable()
        # Keras tells it to all layers inside, and so to the one that holds the weights.
        keras.layers.Layer.trainable.fset(self, value)


@dataclass(frozen=True)
class WeightsOf:
    """In place of a handle: a layer whose weights another one is to use.

    Attributes:
        layer: the one that holds them.
        described: what :meth:`Content.describe_choice` said of the other one, if that
            is known.
    """

    layer: ContentLayer
    described: Any = None


class _Derived:
    """The content of a layer on the weights of another one.

    Args:
        choice: what the layer uses.
        described: as :class:`WeightsOf` has it.
    """

    def __init__(self, choice: Choice, described: Any) -> None:
        self._choice = choice
        self._described = described
        self._source: Content | None = None
        self._content: Content

    def of(self, source: Content, trainable: bool) -> Content:
        """What is made of the content of the layer that holds the weights."""
        if source is not self._source:
            self._content = source.choosing(self._choice, trainable, self._described)
            self._source = source
        if trainable:
            self._content.need_trainable()
        return self._content
