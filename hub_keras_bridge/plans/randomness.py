"""Whether calls of a variant draw random numbers."""

from __future__ import annotations

from collections.abc import Iterator

from tensorflow.core.framework import node_def_pb2

from hub_keras_bridge.facts.variant import Variant
from hub_keras_bridge.graphs import library
from hub_keras_bridge.graphs.seeds.twins import is_random


def draws(variant: Variant) -> bool:
    """Whether a signature's outputs, the updates or the losses need a random op.

    One rule for all signatures of a variant, since layers of several may share what it is
    asked for. What initializes variables does not count: no call runs it.
    """
    return any(map(is_random, _nodes(variant)))


def _nodes(variant: Variant) -> Iterator[node_def_pb2.NodeDef]:
    """What all calls together run, functions included."""
    tensors = (
        tensor
        for name in variant.signature_names
        for info in variant.signature(name).outputs.values()
        for tensor in info.tensor_names
    )
    targets = (*tensors, *variant.update_ops, *variant.losses)
    nodes = [variant.nodes[name] for name in variant.walk(targets, variant.input_specs).nodes]
    yield from nodes
    for function in library.reachable(variant.meta_graph.graph_def.library, nodes).function:
        yield from function.node_def
