"""The state of a module in a TF1 graph: variables, tables, assets, losses."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping

import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from hub_keras_bridge import compat
from hub_keras_bridge.checkpoints.checkpoint import Checkpoint
from hub_keras_bridge.graphs import graph, library
from hub_keras_bridge.plan import Plan, plan, plan_initialization, standing_losses
from hub_keras_bridge.resources import make_resource
from hub_keras_bridge.runtime import import_graph
from hub_keras_bridge.soundness import refusing
from hub_keras_bridge.spec import ModuleSpec
from hub_keras_bridge.variant import VariableFacts, Variant

_KEYS = tf.compat.v1.GraphKeys


class GraphState:
    """Adds a variant's state to the current graph, and graphs that use it.

    Args:
        spec: the module.
        variant: whose state.
        scope: absolute name scope for it, with its slash.
        trainable: whether variables and losses join the collections that
            training reads.
    """

    def __init__(self, spec: ModuleSpec, variant: Variant, scope: str, trainable: bool) -> None:
        self.scope = scope
        self._spec = spec
        self._variant = variant
        self._trainable = trainable
        files = spec.files
        self._checkpoint = Checkpoint(files.checkpoint, spec.subject) if files.checkpoint else None
        if self._checkpoint is not None:
            self._checkpoint.keep_for(tf.compat.v1.get_default_graph())
        self._by_node: dict[str, tf.Variable] = {}
        self._tables: dict[str, tf.Tensor] = {}
        self._paths: dict[str, tf.Tensor] = {}
        # All of it now, while no loop or branch is being built.
        for name in sorted(set(variant.assets.values())):
            self._path(name)
        for facts in variant.variables:
            self._variable(facts)
        for node in sorted(variant.resources):
            self._table(node)
        if trainable:
            chosen = plan(variant, standing_losses(variant), for_session=True)
            losses, _ = self.add(chosen, {}, scope)
            for loss in losses:
                tf.compat.v1.add_to_collection(_KEYS.REGULARIZATION_LOSSES, loss)

    @property
    def variables(self) -> list[tuple[VariableFacts, tf.Variable]]:
        """Each variable, in the order of the module's collection."""
        return [(facts, self._by_node[facts.node]) for facts in self._variant.variables]

    def add(
        self, chosen: Plan, given: Mapping[str, tf.Tensor], scope: str
    ) -> tuple[list[tf.Tensor], list[tf.Operation]]:
        """Adds a plan to the current graph.

        Args:
            chosen: what to add.
            given: tensor of a signature -> tensor of the current graph.
            scope: absolute name scope, with its slash.

        Returns:
            What the plan fetches, and its update ops.
        """
        facts = {each.node: each for each in self._variant.variables}
        outside = {
            **{p: self._variable(facts[n]).handle for n, p in chosen.variables.items()},
            **{p: self._table(node) for node, p in chosen.resources.items()},
            **{p: self._path(name) for name, ps in chosen.assets.items() for p in ps},
        }
        given = {name: _known_here(tensor) for name, tensor in given.items()}
        input_map = {p: _known_here(tensor) for p, tensor in outside.items()}
        input_map |= {placeholder: given[t] for t, placeholder in chosen.inputs.items()}
        added = import_graph(_with_own_functions(chosen), input_map, scope)
        if chosen.beside:
            self._colocate(chosen, given, scope)
        return added

    def _colocate(self, chosen: Plan, given: Mapping[str, tf.Tensor], scope: str) -> None:
        """Puts ops where the plan says: beside inputs, variables and tables."""
        current = tf.compat.v1.get_default_graph()
        outside = {
            **{node: variable.handle for node, variable in self._by_node.items()},
            **self._tables,
            **{graph.node_name(tensor): here for tensor, here in given.items()},
        }
        for node, names in chosen.beside.items():
            # What was pruned has no place to share.
            others = [outside[name].op for name in names if name in outside]
            if others:
                compat.colocate(current.get_operation_by_name(scope + node), others)

    def _variable(self, facts: VariableFacts) -> tf.Variable:
        if facts.node in self._by_node:
            return self._by_node[facts.node]
        initial = self._initial_value(facts)
        collections = [_KEYS.GLOBAL_VARIABLES]
        if facts.is_model_variable:
            collections.append(_KEYS.MODEL_VARIABLES)
        with refusing(self._variant.subject), tf.name_scope(self.scope):
            variable = tf.compat.v1.Variable(
                initial,
                trainable=self._trainable and facts.trainable,
                collections=collections,
                name=facts.node,
                use_resource=True,
            )
        if facts.full_shape is not None and facts.offset is not None:
            around = self.scope + facts.name
            compat.set_save_slice(variable, around, facts.full_shape, facts.offset)
        self._by_node[facts.node] = variable
        return variable

    def _initial_value(self, facts: VariableFacts) -> tf.Tensor:
        if self._checkpoint is not None:
            self._checkpoint.check(facts)
            name = f"{self.scope}{facts.node}/restore/"
            with refusing(self._variant.subject), tf.name_scope(name):
                return self._checkpoint.restoring(facts)
        chosen = plan(self._variant, [facts.initial_value], for_session=True)
        with tf.name_scope(f"{self.scope}{facts.node}/initial/") as scope:
            (value,), _ = self.add(chosen, {}, scope)
        return value

    def _table(self, node: str) -> tf.Tensor:
        if node in self._tables:
            return self._tables[node]
        name = self.scope + node
        with refusing(self._variant.subject), tf.name_scope(f"{name}/"), tf.device("CPU"):
            self._tables[node] = make_resource(self._variant.nodes[node], shared_name=name)
        filling = plan_initialization(self._variant, node, for_session=True)
        if filling is not None:
            with tf.name_scope(f"{name}/fill/") as scope:
                _, initializers = self.add(filling, {}, scope)
            for initializer in initializers:
                tf.compat.v1.add_to_collection(_KEYS.TABLE_INITIALIZERS, initializer)
        return self._tables[node]

    def _path(self, name: str) -> tf.Tensor:
        if name not in self._paths:
            with tf.name_scope(f"{self.scope}assets/"):
                path = tf.constant(self._spec.files.assets[name], name="path")
            tf.compat.v1.add_to_collection(_KEYS.ASSET_FILEPATHS, path)
            self._paths[name] = path
        return self._paths[name]


def _with_own_functions(chosen: Plan) -> Plan:
    """The plan with function names of its own.

    Applications of one module may be differentiated in different ways; a
    session's graph would then have two functions of one name.
    """
    if not chosen.graph_def.library.function:
        return chosen
    graph_def = graph_pb2.GraphDef()
    graph_def.CopyFrom(chosen.graph_def)
    library.rename_functions(graph_def, salt=uuid.uuid4().hex)
    return dataclasses.replace(chosen, graph_def=graph_def)


def _known_here(tensor: tf.Tensor) -> tf.Tensor:
    """A tensor of the outermost graph, captured if a function is being built."""
    current = tf.compat.v1.get_default_graph()
    return tensor if tensor.graph is current else compat.capture(tensor)
