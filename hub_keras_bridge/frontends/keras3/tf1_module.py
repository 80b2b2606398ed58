"""A TF1 Hub module as layers run it: plans, weights and functions, once for all that share it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hub_keras_bridge.compat import keras as private_keras
from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.facts.variables import VariableFacts
from hub_keras_bridge.frontends.keras3.pure_calls import new_seeds
from hub_keras_bridge.plans.program import Programs
from hub_keras_bridge.plans.randomness import draws
from hub_keras_bridge.plans.selection import Selection
from hub_keras_bridge.plans.trust import Trust
from hub_keras_bridge.running import replicas
from hub_keras_bridge.running.backends.current import current
from hub_keras_bridge.running.backends.widths import first_value
from hub_keras_bridge.running.first_values import first_values
from hub_keras_bridge.running.runtime import Runtime

# Two threads may make the first call of a layer at once.
_BUILDING = threading.RLock()


class Tf1Module:
    """What is one, however many of a module's signatures are in use.

    Args:
        spec: what the module is.
        trust: what may reach outside the module.
        variables: all that it needs, by node, if there are any yet.

    Attributes:
        spec: as given.
        programs: the plans of its variants.
        variables: those that were made, by node.
        runtime: its functions, tables and files.
        has_weights: whether all variables are there.
    """

    def __init__(
        self,
        spec: ModuleSpec,
        trust: Trust,
        variables: dict[str, keras.Variable] | None = None,
        seeds: keras.random.SeedGenerator | None = None,
    ) -> None:
        self.spec = spec
        self.programs = Programs(spec)
        self.has_weights = variables is not None
        self._backend = current()
        self.variables = {} if variables is None else variables
        self._trust = trust
        self._seeds = seeds
        self.runtime = Runtime(self.variables, spec.files.assets, trust)

    def under_same_weights(self, spec: ModuleSpec) -> Tf1Module:
        """Another module, which takes over the variables that there are."""
        return Tf1Module(spec, self._trust, self.variables, self._seeds)

    @property
    def weights(self) -> list[tuple[VariableFacts, keras.Variable]]:
        """The variables that were made."""
        made = self.variables
        return [(f, made[f.node]) for f in self.spec.variables if f.node in made]

    def create_weights(self, layer: keras.layers.Layer, selection: Selection) -> None:
        """Makes all variables, with their values, for the layer that is to hold them.

        Raises:
            CheckpointError: the checkpoint lacks a variable that is needed.
        """
        needed = selection.needed(self.spec, layer.trainable)
        with _BUILDING:
            if self.has_weights:
                return
            try:
                # Outside any graph that the first call happens to be in.
                with (
                    tf.init_scope(),
                    self._backend.at_once() if self._backend else contextlib.nullcontext(),
                    private_keras.outside_stateless_scope(),
                    tf.variable_creator_scope(_without_name_scope),
                    tf.variable_creator_scope(replicas.create_as_distributable),
                ):
                    self._add_weights(layer, selection, needed)
                    self.add_seeds(layer, selection)
            except Exception:
                self.variables.clear()
                private_keras.forget_weights(layer)
                raise
            self.has_weights = True

    def _add_weights(
        self, layer: keras.layers.Layer, selection: Selection, needed: Collection[str]
    ) -> None:
        trained = selection.trained(self.spec)
        for facts, value in first_values(self.spec, selection.tags, needed, self._trust):
            if self._backend is not None:
                value = first_value(np.asarray(value), facts, self._backend, self.spec.subject)
            variable = layer.add_weight(
                name=self._weight_name(facts.node),
                shape=facts.shape,
                dtype=value.dtype.name,
                initializer=_initializer(self._backend.array(value) if self._backend else value),
                trainable=facts.node in trained,
            )
            self.variables[facts.node] = variable
            if self._backend is not None:
                continue
            # So that a tf.train.Checkpoint finds it. TensorFlow's own: in a
            # SavedModel, Keras's has a copy that no function reads.
            private_tf.track_child(
                layer, private_keras.raw_variable(variable), f"_weight:{facts.node}"
            )

    def _weight_name(self, node: str) -> str:
        # Keras takes no slash in the name of a weight.
        return self._backend.weight_name(node) if self._backend else node.replace("/", ".")

    def add_seeds(self, layer: keras.layers.Layer, selection: Selection) -> None:
        """Gives the layer a source of seeds, where calls take one; Keras keeps its state.

        That is told by graphs: of a module without any yet, to be asked for when they are there.
        """
        if self._backend is None or self._seeds is not None or self.spec.files.facts_only:
            return
        tags = {selection.tags, selection.training_tags}
        if any(draws(self.spec.variant(each)) for each in tags):
            self._seeds = layer.seed_generator = new_seeds()

    def next_seed(self) -> Any:
        """A new seed for a call that takes one."""
        assert self._seeds is not None
        return self._seeds.next()


def _without_name_scope(create: Callable[..., tf.Variable], **kwargs: Any) -> tf.Variable:
    """Makes a variable whose name does not tell its layer's number.

    TensorFlow caches a kernel for every name a variable is ever made under, so
    that a process that loads again and again would grow. Keras has paths.
    """
    with tf.name_scope(""):
        return create(**kwargs)


def _initializer(value: Any) -> Callable[..., Any]:
    """A Keras initializer that knows its value already."""
    return lambda *_, **__: value
