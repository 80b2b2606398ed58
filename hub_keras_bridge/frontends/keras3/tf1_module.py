"""A TF1 Hub module as layers run it: plans, weights and functions, once for all that share it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import tensorflow as tf

from hub_keras_bridge.compat import keras as private_keras
from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.facts.variables import VariableFacts
from hub_keras_bridge.plans.program import Programs
from hub_keras_bridge.plans.selection import Selection
from hub_keras_bridge.plans.trust import Trust
from hub_keras_bridge.running import replicas
from hub_keras_bridge.running.first_values import first_values, slow_to_read
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
        self, spec: ModuleSpec, trust: Trust, variables: dict[str, keras.Variable] | None = None
    ) -> None:
        self.spec = spec
        self.programs = Programs(spec)
        self.has_weights = variables is not None
        self.variables = {} if variables is None else variables
        self._trust = trust
        self.runtime = Runtime(self.variables, spec.files.assets, trust)

    def under_same_weights(self, spec: ModuleSpec) -> Tf1Module:
        """Another module, which takes over the variables that there are."""
        return Tf1Module(spec, self._trust, self.variables)

    @property
    def weights(self) -> list[tuple[VariableFacts, keras.Variable]]:
        """The variables that were made."""
        made = self.variables
        return [(f, made[f.node]) for f in self.spec.variables if f.node in made]

    def create_weights(
        self,
        layer: keras.layers.Layer,
        selection: Selection,
        meanwhile: Callable[[], Any] = lambda: None,
    ) -> None:
        """Makes all variables, with their values, for the layer that is to hold them.

        Args:
            layer: the one.
            selection: what it uses.
            meanwhile: what can be done with variables that have no values yet. It may
                be done while these are read; what it raises is left to who does it again.

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
                    private_keras.outside_stateless_scope(),
                    tf.variable_creator_scope(_without_name_scope),
                    tf.variable_creator_scope(replicas.create_as_distributable),
                ):
                    trained = selection.trained(self.spec)
                    if not self._add_weights_empty(layer, trained, needed, meanwhile):
                        self._add_weights(layer, trained, selection, needed)
            except Exception:
                self.variables.clear()
                self.runtime.forget_functions()
                private_keras.forget_weights(layer)
                raise
            self.has_weights = True

    def _add_weights(
        self,
        layer: keras.layers.Layer,
        trained: Collection[str],
        selection: Selection,
        needed: Collection[str],
    ) -> None:
        for facts, value in first_values(self.spec, selection.tags, needed, self._trust):
            self._add_weight(layer, facts, _initializer(value), facts.node in trained)

    def _add_weights_empty(
        self,
        layer: keras.layers.Layer,
        trained: Collection[str],
        needed: Collection[str],
        meanwhile: Callable[[], Any],
    ) -> bool:
        """Where values take long to be read, makes variables without, and then fills them.

        Returns:
            Whether it has done so.
        """
        # A strategy has copies of variables, and its own ways to fill them.
        slow = None if tf.distribute.has_strategy() else slow_to_read(self.spec, needed)
        if slow is None:
            return False
        variables, read = slow
        with ThreadPoolExecutor(1) as beside:
            values = beside.submit(read)
            for facts in variables:
                self._add_weight(layer, facts, _leave_empty, facts.node in trained)
            with contextlib.suppress(Exception):
                meanwhile()
            for facts, value in zip(variables, values.result(), strict=True):
                # Takes over the value's memory. None of the variable's own was ever touched.
                private_keras.raw_variable(self.variables[facts.node]).assign(value)
        return True

    def _add_weight(
        self,
        layer: keras.layers.Layer,
        facts: VariableFacts,
        initializer: Callable[..., Any],
        trainable: bool,
    ) -> None:
        variable = layer.add_weight(
            # Keras takes no slash in the name of a weight.
            name=facts.node.replace("/", "."),
            shape=facts.shape,
            dtype=facts.dtype.name,
            initializer=initializer,
            trainable=trainable,
        )
        self.variables[facts.node] = variable
        # So that a tf.train.Checkpoint finds it. TensorFlow's own: in a
        # SavedModel, Keras's has a copy that no function reads.
        private_tf.track_child(layer, private_keras.raw_variable(variable), f"_weight:{facts.node}")


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


def _leave_empty(shape: Any, dtype: str) -> tf.Tensor:
    """A Keras initializer that writes nothing: room which takes no memory before it is filled."""
    return tf.raw_ops.Empty(shape=shape, dtype=dtype, init=False)
