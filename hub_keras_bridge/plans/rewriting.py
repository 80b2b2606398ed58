"""A pruned graph in the form in which it can run in a function of TensorFlow 2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import tensorflow as tf
from absl import logging
from tensorflow.core.framework import graph_pb2

from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.errors import Subject, UnknownOpError
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.facts.variant import Variant
from hub_keras_bridge.graphs import (
    batch_norm,
    colocation,
    contexts,
    control_flow,
    graph,
    library,
    sparse_lookup,
)
from hub_keras_bridge.graphs.calls import check_calls
from hub_keras_bridge.graphs.ops.unregistered import need_registered
from hub_keras_bridge.graphs.prune import Pruned


@dataclass(frozen=True, eq=False)
class Rewritten:
    """A pruned graph in the form in which it will run.

    Attributes:
        graph_def: the new graph.
        moved: op -> the op to run instead.
        differentiable: whether a function's gradient would be right.
    """

    graph_def: graph_pb2.GraphDef
    moved: Mapping[str, str] = field(default_factory=dict)
    differentiable: bool = True


def as_function(variant: Variant, pruned: Pruned, targets: Sequence[str]) -> Rewritten:
    """Rewrites what a function cannot run, or cannot differentiate; changes the graph.

    Args:
        variant: whose graph it was.
        pruned: the part that is needed.
        targets: tensors and ops that are wanted of it.
    """
    graph_def = pruned.graph_def
    colocation.take_out(graph_def, ())
    known = {t: variant.variable_of[t] for t in pruned.placeholders if t in variant.variable_of}
    shapes = {graph.node_name(pruned.placeholders[t]): f.shape for t, f in known.items()}
    sparse_lookup.keep(graph_def, shapes)
    if not control_flow.has_control_flow(graph_def):
        batch_norm.fold(graph_def, shapes, targets)
        return Rewritten(graph_def)
    handles = [pruned.placeholders[tensor] for tensor in known]
    undifferentiated = contexts.undifferentiated_loops(variant.meta_graph)
    try:
        return Rewritten(*control_flow.functionalize(graph_def, targets, handles, undifferentiated))
    except control_flow.Irregular as error:
        logging.warning("v1 control flow is left as it is, without gradients: %s", error)
        return Rewritten(graph_def, differentiable=False)


def finish(graph_def: graph_pb2.GraphDef) -> None:
    """Drops what no longer holds, and functions that nothing calls; changes it.

    Output shapes were recorded before the rewrites.
    """
    for node in graph_def.node:
        node.attr.pop("_output_shapes", None)
    graph_def.library.CopyFrom(library.reachable(graph_def.library, graph_def.node))
    # TensorFlow asks for these where it loads a SavedModel of TensorFlow 2, not here.
    del graph_def.library.registered_gradients[:]
    check_calls(graph_def)
    library.forget_places(graph_def.library)
    library.rename_functions(graph_def)
    _raise_version(graph_def)


def _raise_version(graph_def: graph_pb2.GraphDef) -> None:
    """Claims today's graph version, unless an op was deprecated since.

    The version decides at import which deprecated ops are let in; a function
    does not keep it. An older one makes TensorFlow log a warning per function.
    """
    today = tf.version.GRAPH_DEF_VERSION
    definitions = (private_tf.op_def(node.op) for node in graph_def.node)
    deprecated = any(d and 0 < d.deprecation.version <= today for d in definitions)
    if not deprecated:
        graph_def.versions.producer = max(graph_def.versions.producer, today)


def check_ops(graph_def: graph_pb2.GraphDef, subject: Subject) -> None:
    """Checks that a function can have all ops of a graph.

    Raises:
        UnknownOpError: TensorFlow lacks one, or one works on reference variables alone.
    """
    known = {op: private_tf.op_def(op) for op in need_registered(graph_def, subject)}
    by_reference = sorted(
        name for name, op in known.items() if op and any(arg.is_ref for arg in op.input_arg)
    )
    if by_reference:
        raise UnknownOpError(
            "Cannot run a TF1 Hub module: it uses ops on reference variables "
            "that have no counterpart for resource variables.",
            subject,
            expected="assignments, scatters and reads of reference variables",
            found=choices(by_reference),
            advice="publish the module again with use_resource=True",
        )
