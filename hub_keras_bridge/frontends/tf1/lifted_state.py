"""A module in a function of TensorFlow 2: its state lies outside, made once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import NoReturn

import tensorflow as tf

from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.errors import GraphModeError, HubError
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.plans.endpoint import Endpoint
from hub_keras_bridge.plans.plan import Plan
from hub_keras_bridge.plans.program import Program
from hub_keras_bridge.plans.trust import Trust
from hub_keras_bridge.running.first_values import first_values
from hub_keras_bridge.running.function_call import add_call, add_plan
from hub_keras_bridge.running.runtime import Runtime

_KEYS = tf.compat.v1.GraphKeys

# No string, so that TensorFlow does not take it for a part of the graph.
_KEPT = ("hub_keras_bridge",)


class LiftedState:
    """Variables and tables as TensorFlow 2 has them, for the function being built.

    ``tf.compat.v1.wrap_function`` lifts the variables that its function makes;
    these are lifted from the beginning. They have their values at once.

    Args:
        spec: the module.
        program: of the variant whose state this is.
        scope: of the variables' names, with its slash.
        trainable: whether variables, losses and update ops join the collections
            that training reads.
        trust: what may reach outside the module.

    Raises:
        CheckpointError: a variable has no value.
        UnsafeModuleError: what is to run may reach outside.
    """

    def __init__(
        self, spec: ModuleSpec, program: Program, scope: str, trainable: bool, trust: Trust
    ) -> None:
        self.scope = scope
        self._program = program
        self._variant = program.variant
        self._trainable = trainable
        self._trust = trust
        made = self._made_variables(spec)
        self._runtime = Runtime(made, spec.files.assets, trust)
        self.variables = [(facts, made[facts.node]) for facts in self._variant.variables]
        # A function does not keep what it captures.
        tf.compat.v1.add_to_collection(_KEPT, self)
        if _has_own_collections(tf.compat.v1.get_default_graph()):
            self._join_collections()
        if trainable and (losses := program.standing_losses):
            with tf.name_scope(scope) as own:
                found, _ = add_plan(losses, {}, own, self._outside, trust)
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
        return add_call(endpoint, given, name, self._outside, self._trust, training=self._trainable)

    def saver(self, session: tf.compat.v1.Session) -> NoReturn:  # noqa: ARG002
        """Refuses: the values are in no session."""
        raise GraphModeError(
            "Cannot export a hub.Module that was made in a function of TensorFlow 2.",
            self._variant.subject,
            expected="a module made in a graph that a session runs",
            found="one whose variables are no session's",
            advice="use hub.ModuleLayer and its export_module(path)",
        )

    def _made_variables(self, spec: ModuleSpec) -> dict[str, tf.Variable]:
        with tf.init_scope(), _creators(self._trainable):
            needed = {facts.node for facts in self._variant.variables}
            values = first_values(spec, self._variant.tags, needed, self._trust)
            try:
                return {
                    facts.node: tf.Variable(
                        value,
                        trainable=self._trainable and facts.trainable,
                        name=self.scope + facts.node,
                        dtype=facts.dtype,
                    )
                    for facts, value in values
                }
            except HubError:
                raise  # Of the values; some are ValueErrors, too.
            except ValueError as error:
                raise GraphModeError(
                    "Cannot make a trainable hub.Module each time that a tf.function is traced.",
                    self._variant.subject,
                    expected="a module that is made in the first trace and kept",
                    found=str(error),
                    advice="keep it: `if self.module is None: self.module = hub.Module(...)`; or "
                    "use hub.load, or hub.ModuleLayer, outside",
                ) from error

    def _join_collections(self) -> None:
        """Makes the variables known as those that the function itself makes are."""
        known = {
            key: set(map(id, tf.compat.v1.get_collection(key))) for key in _collections(True, True)
        }
        for facts, variable in self.variables:
            with tf.name_scope(f"{self.scope}{facts.node}/"):
                private_tf.set_initializer(variable, tf.no_op("Assign"))
            for key in _collections(facts.is_model_variable, variable.trainable):
                # A creator of variables may have added it.
                if id(variable) not in known[key]:
                    tf.compat.v1.add_to_collection(key, variable)

    def _outside(self, chosen: Plan) -> dict[str, tf.Tensor]:
        return self._runtime.outside(self._program, chosen)


@contextlib.contextmanager
def _creators(trainable: bool) -> Iterator[None]:
    """Lets the creators of variables around, if any, see those that will be trained.

    A ``tf.function`` refuses new ones when it is traced again: each trace would
    train its own. Of variables that keep their values, there may be several.
    """
    if trainable:
        with tf.name_scope(""):
            yield
    else:
        with tf.Graph().as_default(), private_tf.eager_mode():
            yield


def _collections(is_model_variable: bool, trained: bool) -> list[str]:
    keys = {_KEYS.MODEL_VARIABLES: is_model_variable, _KEYS.TRAINABLE_VARIABLES: trained}
    return [_KEYS.GLOBAL_VARIABLES, *(key for key, holds in keys.items() if holds)]


def _has_own_collections(function: tf.Graph) -> bool:
    """Whether the function keeps its variables to itself.

    Those of a ``tf.function`` are the whole process's, and so is the collection.
    """
    key = _KEYS.GLOBAL_VARIABLES
    return function.get_collection_ref(key) is not function.outer_graph.get_collection_ref(key)
