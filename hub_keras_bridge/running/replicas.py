"""Variables that a tf.distribute strategy keeps once per replica.

A replica's calls read and write its own copies, and a gradient tape in it sees
those. What update ops wrote is then treated as Keras treats the moving statistics
of its own BatchNormalization, by the aggregation that Keras gives to a layer's
weights: with ``MEAN``, as in Keras 3.7, the copies are averaged; with ``NONE``, as
before and after, each replica keeps its own, and the first is read and saved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import tensorflow as tf

from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.errors import StrategyError, Subject
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.graphs import graph
from hub_keras_bridge.plans.plan import Plan

_READERS = frozenset(
    {"ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape", "VarIsInitializedOp"}
)


def is_distributed(variable: tf.Variable) -> bool:
    """Whether a strategy keeps copies of a variable."""
    return isinstance(variable, tf.distribute.DistributedValues)


def is_averaged(variable: tf.Variable) -> bool:
    """Whether what the replicas write to a variable is averaged."""
    return variable.aggregation == tf.VariableAggregation.MEAN


def create_as_distributable(create: Callable[..., tf.Variable], **kwargs: Any) -> tf.Variable:
    """Makes a variable, for ``tf.variable_creator_scope``.

    TensorFlow refuses to distribute whole numbers that are to be averaged, as
    Keras 3.7 asks it to with every weight.
    """
    averaged = kwargs.get("aggregation") == tf.VariableAggregation.MEAN
    if averaged and not tf.as_dtype(kwargs["dtype"]).is_floating:
        kwargs["aggregation"] = tf.VariableAggregation.ONLY_FIRST_REPLICA
    return create(**kwargs)


def copy_for(variable: tf.Variable, replica: int | None) -> tf.Variable:
    """The copy of a variable that a replica uses; a plain one is its own.

    Args:
        variable: of any kind.
        replica: its number on this machine; None outside of replicas, where
            the first copy stands for all.
    """
    if not is_distributed(variable):
        return variable
    return variable.distribute_strategy.experimental_local_results(variable)[replica or 0]


def written(chosen: Plan) -> list[str]:
    """Nodes of the variables that a plan may write to.

    What passes a handle on, such as a loop, counts as a writer.
    """
    consumed = {
        source for node in chosen.graph_def.node if node.op not in _READERS for source in node.input
    }
    return [n for n, handle in chosen.variables.items() if graph.node_name(handle) in consumed]


def average(variables: Iterable[tf.Variable]) -> None:
    """Gives all copies of each variable their mean.

    Args:
        variables: distributed ones; this must run in each of the replicas.
    """
    context = tf.distribute.get_replica_context()
    for variable in variables:
        copy = copy_for(variable, private_tf.local_replica())
        copy.assign(context.all_reduce(tf.distribute.ReduceOp.MEAN, copy.read_value()))


def need_own_strategy(variables: Iterable[tf.Variable], subject: Subject) -> None:
    """Checks that the strategy in whose scope this runs made a layer's variables.

    Args:
        variables: those that the layer trains.
        subject: the module.

    Raises:
        StrategyError: the gradients of its replicas could not be applied.
    """
    strategy = tf.distribute.get_strategy()
    foreign = [v.name for v in variables if not strategy.extended.variable_created_in_scope(v)]
    if foreign:
        raise StrategyError(
            f"Cannot train a {subject.kind} under a tf.distribute strategy "
            "that its variables do not belong to.",
            subject,
            expected=f"variables made in the scope of this {type(strategy).__name__}",
            found=f"made outside of it: {choices(foreign, limit=5)}",
            advice="make the layer and the model, and compile it, inside `with "
            "strategy.scope():`; for inference alone, set layer.trainable = False",
        )
