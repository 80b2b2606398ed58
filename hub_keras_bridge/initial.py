"""Initial values of a module that was made but never trained."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import tensorflow as tf

from hub_keras_bridge import graph
from hub_keras_bridge.spec import ModuleSpec


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
        pruned = graph.prune(variant.meta_graph, initializers, {}, variant.subject)
        with tf.Graph().as_default() as built:
            tf.compat.v1.train.import_meta_graph(pruned.meta_graph, import_scope="module")
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
