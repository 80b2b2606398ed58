"""A plan that takes its variables' values and returns their new ones: it has no effects."""

from __future__ import annotations

import dataclasses

import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from hub_keras_bridge.errors import BackendError
from hub_keras_bridge.facts.variant import Variant
from hub_keras_bridge.graphs.from_values.needed import HandleNeeded
from hub_keras_bridge.graphs.from_values.rewrite import from_values
from hub_keras_bridge.graphs.prune import Placeholder
from hub_keras_bridge.plans.plan import Plan
from hub_keras_bridge.plans.rewriting import finish

# What the values of a plan have the seed under: no node has such a name.
SEED = " seed"


def of_values(chosen: Plan, variant: Variant, *, seeded: bool = False) -> Plan:  # noqa: ARG001
    """The same plan on values; what it writes is fetched behind all else.

    Args:
        chosen: a plan on handles.
        variant: whose.

    Raises:
        BackendError: it writes variables where only a handle tells when.
    """
    graph_def = graph_pb2.GraphDef()
    graph_def.CopyFrom(chosen.graph_def)
    facts = {facts.node: facts for facts in variant.variables}
    values = {
        placeholder: Placeholder(
            facts[node].dtype.as_datatype_enum, tf.TensorShape(facts[node].shape).as_proto()
        )
        for node, placeholder in chosen.variables.items()
    }
    try:
        new = from_values(graph_def, values)
    except HandleNeeded as error:
        raise BackendError(
            "Cannot call a TF1 Hub module in stateless form: it needs variables, not values alone.",
            chosen.subject,
            expected="writes to variables outside of branches, loops and functions",
            found=str(error),
            advice="assign the values to layer.weights, then call the layer as usual",
        ) from error
    finish(graph_def)
    written = {node: new[p] for node, p in chosen.variables.items() if p in new}
    return dataclasses.replace(
        chosen,
        graph_def=graph_def,
        variables={},
        values=chosen.variables,
        fetches=(*chosen.fetches, *written.values()),
        written=tuple(written),
    )
