"""A plan that takes its variables' values and returns their new ones: it has no effects."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol

import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from hub_keras_bridge.errors import BackendError
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.facts.variables import VariableFacts
from hub_keras_bridge.graphs.effects import forget_effects
from hub_keras_bridge.graphs.from_values.needed import HandleNeeded
from hub_keras_bridge.graphs.from_values.rewrite import from_values
from hub_keras_bridge.graphs.prune import Placeholder
from hub_keras_bridge.graphs.refusing import refusing
from hub_keras_bridge.graphs.seeds.rewrite import NoSeed, take_seed
from hub_keras_bridge.graphs.seeds.twins import TWINS
from hub_keras_bridge.plans.plan import Plan
from hub_keras_bridge.plans.rewriting import finish

SEED = "<seed>"
"""Stands among the variables' nodes for the seed of random ops; no node can be named so."""

SEED_SPEC = tf.TensorSpec([2], tf.int32)
"""What the seed is: a key and a counter."""


class Interface(Protocol):
    """What a graph, such as a variant, takes from outside."""

    @property
    def variables(self) -> Sequence[VariableFacts]:
        """Its variables."""

    @property
    def input_specs(self) -> Mapping[str, tf.TensorSpec]:
        """Dtypes and shapes of tensors that may be fed."""


def of_values(chosen: Plan, interface: Interface, *, seeded: bool = False) -> Plan:
    """The same plan on values; what it writes is fetched behind all else.

    Args:
        chosen: a plan on handles.
        interface: of the graph that it is a plan of.
        seeded: whether random numbers follow a seed, which is one more value then,
            ``SEED``, of a plan that has some. Without, TensorFlow's state gives them.

    Raises:
        BackendError: it needs its variables, or random numbers of which a seed cannot tell.
    """
    graph_def = graph_pb2.GraphDef()
    graph_def.CopyFrom(chosen.graph_def)
    facts = {facts.node: facts for facts in interface.variables}
    values = {
        placeholder: Placeholder(
            facts[node].dtype.as_datatype_enum, tf.TensorShape(facts[node].shape).as_proto()
        )
        for node, placeholder in chosen.variables.items()
    }
    try:
        with refusing(chosen.subject):
            new = from_values(graph_def, values)
            seed = take_seed(graph_def) if seeded else None
            forget_effects(graph_def)
            finish(graph_def)
    except HandleNeeded as error:
        raise _refused(
            chosen,
            "it needs variables, not values alone",
            expected="ops that read variables or assign to them, in plain order",
            found=str(error),
            advice="with Keras on TensorFlow, assign the values to layer.weights, then call the "
            "layer as usual",
        ) from error
    except NoSeed as error:
        raise _refused(
            chosen,
            "it has random numbers that follow no seed",
            expected=f"random ops among {choices(TWINS)}",
            found=str(error),
            advice="use the layer on Keras's TensorFlow backend, or call it with training=False",
        ) from error
    written = {node: new[p] for node, p in chosen.variables.items() if p in new}
    told = [*chosen.shapes, *[tf.TensorShape(None)] * len(chosen.fetches)][: len(chosen.fetches)]
    return dataclasses.replace(
        chosen,
        graph_def=graph_def,
        variables={},
        values={**chosen.variables, **({SEED: seed} if seed else {})},
        fetches=(*chosen.fetches, *written.values()),
        shapes=(*told, *(tf.TensorShape(facts[node].shape) for node in written)),
        written=tuple(written),
    )


def _refused(chosen: Plan, why: str, **details: str) -> BackendError:
    problem = f"Cannot call a {chosen.subject.kind} in stateless form: {why}."
    return BackendError(problem, chosen.subject, **details)
