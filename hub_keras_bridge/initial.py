"""The values that a module's variables start from."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from hub_keras_bridge import graph
from hub_keras_bridge.checkpoint import Checkpoint
from hub_keras_bridge.prune import prune
from hub_keras_bridge.spec import ModuleSpec
from hub_keras_bridge.variant import VariableFacts


def first_values(
    spec: ModuleSpec, tags: Collection[str], needed: Collection[str]
) -> list[tuple[VariableFacts, Callable[[], Any]]]:
    """Each variable with what makes its value, so that one is made at a time.

    Args:
        spec: the module. With a checkpoint, values come from there; a spec made
            in memory runs its initializers; of one without graphs, all are zero.
        tags: the variant whose initializers count.
        needed: nodes of variables that must have a value; another is left out
            if the checkpoint does not have it.

    Raises:
        CheckpointError: the checkpoint cannot be opened or lacks a variable.
    """
    if not spec.variables:
        return []
    if spec.files.facts_only:
        return [(f, partial(np.zeros, f.shape, f.dtype.as_numpy_dtype)) for f in spec.variables]
    if spec.files.checkpoint is None:
        values = initial_values(spec, tags)
        return [(f, partial(np.asarray, values[f.node])) for f in spec.variables]
    checkpoint = Checkpoint(spec.files.checkpoint, spec.subject)
    present = [f for f in spec.variables if f.node in needed or checkpoint.has(f)]
    for facts in present:
        checkpoint.check(facts)
    return [(facts, partial(checkpoint.read, facts)) for facts in present]


def initial_values(spec: ModuleSpec, tags: Collection[str]) -> dict[str, np.ndarray]:
    """Runs the variables' initializers as TF1 would, in one session.

    Args:
        spec: a spec without checkpoint.
        tags: the variant whose initializers count; for a variable that it does
            not have, those of the first variant that has it.

    Returns:
        Node of each variable -> its value.
    """
    values: dict[str, np.ndarray] = {}
    for variant_tags in sorted(spec.get_tags(), key=lambda other: other != frozenset(tags)):
        variant = spec.variant(variant_tags)
        facts = [f for f in variant.variables if f.node not in values]
        if not facts:
            continue
        initializers = [graph.node_name(f.initializer) for f in facts]
        pruned = prune(variant.meta_graph.graph_def, initializers, {}, variant.subject)
        with tf.Graph().as_default() as built:
            tf.graph_util.import_graph_def(pruned.graph_def, name="module")
            fetches = [
                tf.raw_ops.ReadVariableOp(
                    resource=built.get_tensor_by_name(f"module/{f.node}:0"), dtype=f.dtype
                )
                for f in facts
            ]
            with tf.compat.v1.Session() as session:
                session.run([built.get_operation_by_name(f"module/{i}") for i in initializers])
                values |= zip((f.node for f in facts), session.run(fetches), strict=True)
    return values
