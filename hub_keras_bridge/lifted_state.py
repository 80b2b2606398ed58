"""A module in a function of TensorFlow 2: its state lies outside, made once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

import tensorflow as tf

from hub_keras_bridge.endpoint import Endpoint
from hub_keras_bridge.errors import GraphModeError
from hub_keras_bridge.function_call import add_call, add_plan
from hub_keras_bridge.initial import first_values
from hub_keras_bridge.plan import Plan, plan, standing_losses
from hub_keras_bridge.runtime import Runtime
from hub_keras_bridge.spec import ModuleSpec
from hub_keras_bridge.variant import Variant

_KEYS = tf.compat.v1.GraphKeys

# No string, so that TensorFlow does not take it for a part of the graph.
_KEPT = ("hub_keras_bridge",)


class LiftedState:
    """Variables and tables as TensorFlow 2 has them, for the function being built.

    ``tf.compat.v1.wrap_function`` lifts the variables that its function makes;
    these are lifted from the beginning. They have their values at once.

    Args:
        spec: the module.
        variant: whose state.
        scope: of the variables' names, with its slash.
        trainable: whether variables, losses and update ops join the collections
            that training reads.

    Raises:
        CheckpointError: a variable has no value.
    """

    def __init__(self, spec: ModuleSpec, variant: Variant, scope: str, trainable: bool) -> None:
        self.scope = scope
        self._variant = variant
        self._trainable = trainable
        made = {}
        with tf.init_scope(), tf.name_scope(""):
            for facts, value in first_values(spec, variant.tags, _nodes(variant)):
                made[facts.node] = tf.Variable(
                    value,
                    trainable=trainable and facts.trainable,
                    name=scope + facts.node,
                    dtype=facts.dtype,
                )
            self._runtime = Runtime(made, spec.files.assets)
        self.variables = [(facts, made[facts.node]) for facts in variant.variables]
        # A function does not keep what it captures.
        tf.compat.v1.add_to_collection(_KEPT, self)
        for facts, variable in self.variables:
            for key in _collections(facts.is_model_variable, variable.trainable):
                _add_to_own_collection(key, variable)
        if trainable and (losses := standing_losses(variant)):
            with tf.name_scope(scope) as own:
                found, _ = add_plan(plan(variant, losses), {}, own, self._outside)
            for loss in found:
                tf.compat.v1.add_to_collection(_KEYS.REGULARIZATION_LOSSES, loss)

    def apply(
        self, endpoint: Endpoint, given: Mapping[str, tf.Tensor], name: str
    ) -> list[tf.Tensor]:
        """Adds an application to the function being built; as for a session's graph."""
        if not tf.inside_function():
            raise GraphModeError(
                "Cannot apply a hub.Module outside of the function that it was made in.",
                endpoint.subject,
                expected="a call inside of the function",
                found="a call outside",
                advice="call the function; or use hub.load, whose result works everywhere",
            )
        return add_call(endpoint, given, name, self._outside, training=self._trainable)

    def save(self, session: tf.compat.v1.Session, prefix: str) -> NoReturn:
        """Refuses: the values are in no session."""
        raise GraphModeError(
            "Cannot export a hub.Module that was made in a function of TensorFlow 2.",
            self._variant.subject,
            expected="a module made in a graph that a session runs",
            found="one whose variables are no session's",
            advice="use hub.ModuleLayer and its export_module(path)",
        )

    def _outside(self, chosen: Plan) -> dict[str, tf.Tensor]:
        return self._runtime.outside(self._variant, chosen)


def _nodes(variant: Variant) -> set[str]:
    return {facts.node for facts in variant.variables}


def _collections(is_model_variable: bool, trained: bool) -> list[str]:
    keys = {_KEYS.MODEL_VARIABLES: is_model_variable, _KEYS.TRAINABLE_VARIABLES: trained}
    return [_KEYS.GLOBAL_VARIABLES, *(key for key, holds in keys.items() if holds)]


def _add_to_own_collection(key: str, variable: tf.Variable) -> None:
    """Adds a variable where the function has a collection of its own.

    That of a ``tf.function`` is the whole process's, as are its variables.
    """
    own = tf.compat.v1.get_collection_ref(key)
    with tf.init_scope():
        shared = tf.compat.v1.get_collection_ref(key)
    if own is not shared:
        own.append(variable)
