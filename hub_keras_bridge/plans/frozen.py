"""A plan whose weights are constants, and its three parts: see :mod:`graphs.dividing`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2

from hub_keras_bridge.errors import ConversionError
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.graphs import graph, library
from hub_keras_bridge.graphs.dividing import Division, without_waiting
from hub_keras_bridge.graphs.ops import definitions as op_facts
from hub_keras_bridge.graphs.prune import Placeholder, prune
from hub_keras_bridge.graphs.whole_lists import as_a_whole
from hub_keras_bridge.plans.numeric import NumericGraph
from hub_keras_bridge.plans.plan import Plan

# Of a message of protobuf, with something for the rest of the graph.
_MOST_BYTES = 2**31 - 2**24


def frozen(chosen: Plan, values: Mapping[str, Any]) -> Plan:
    """A plan on values, with the values in it; its inputs go by their placeholders.

    Args:
        chosen: a plan on values.
        values: node of a variable -> its value, for ``np.asarray``.

    Raises:
        ConversionError: calls write variables, or there is too much of it for a graph.
    """
    if chosen.written:
        raise ConversionError(
            "Cannot compile a call of a TF1 Hub module that writes its variables.",
            chosen.subject,
            expected="a call that reads them alone, so that they can be constants",
            found=f"writes to {choices(chosen.written)}",
            advice="call the ModuleLayer itself",
        )
    arrays = {node: np.asarray(values[node]) for node in chosen.values}
    size = sum(array.nbytes for array in arrays.values())
    if size > _MOST_BYTES:
        raise ConversionError(
            "Cannot compile a call of a TF1 Hub module: its weights do not fit into a graph.",
            chosen.subject,
            expected=f"at most {_MOST_BYTES / 2**30:.1f} GiB",
            found=f"{size / 2**30:.1f} GiB",
            advice="call the ModuleLayer itself",
        )
    graph_def = graph_pb2.GraphDef()
    graph_def.CopyFrom(chosen.graph_def)
    nodes = graph.nodes_by_name(graph_def)
    for node, placeholder in chosen.values.items():
        make_constant(nodes[graph.node_name(placeholder)], arrays[node])
    inputs = {placeholder: placeholder for placeholder in chosen.inputs.values()}
    # Nobody asks for its gradient.
    return dataclasses.replace(
        chosen, graph_def=graph_def, inputs=inputs, values={}, differentiable=True
    )


def make_constant(node: node_def_pb2.NodeDef, value: np.ndarray) -> None:
    """Makes a constant of a node; changes it."""
    made = tf.make_tensor_proto(value)
    node.op = "Const"
    node.attr.clear()
    node.attr["dtype"].type = made.dtype
    node.attr["value"].tensor.CopyFrom(made)


@dataclasses.dataclass(frozen=True, eq=False)
class Parts:
    """A plan without variables in three parts.

    Tensors are those of the whole plan; what comes from outside are placeholders.

    Attributes:
        first: what is TensorFlow's before the numbers; None if there is nothing.
        numeric: the numbers; None if there are none.
        entering: the tensors that the numbers are made of.
        leaving: what is made of them.
        last: what is TensorFlow's after the numbers; None if there is nothing.
    """

    first: Plan | None
    numeric: NumericGraph | None
    entering: tuple[str, ...]
    leaving: tuple[str, ...]
    last: Plan | None

    @classmethod
    def of(
        cls,
        whole: Plan,
        found: Division,
        specs: Mapping[str, tf.TensorSpec],
        names: Mapping[str, str],
    ) -> Parts:
        """Takes a plan apart.

        Args:
            whole: a plan without variables, whose inputs go by their placeholders.
            found: where its parts meet.
            specs: dtype and shape of each tensor there, and of each input.
            names: what an input or output is called, by its tensor.
        """
        first = _part(whole, found.first, found.effects, {})
        meeting = {*found.first, *found.leaving, *whole.inputs}
        last = _part(whole, found.last, (), {t: _stand_in(specs[t]) for t in meeting})
        numeric = _numeric(whole, found, specs, names) if found.numeric else None
        return cls(first, numeric, found.entering, found.leaving, last)


def _numeric(
    whole: Plan, found: Division, specs: Mapping[str, tf.TensorSpec], names: Mapping[str, str]
) -> NumericGraph:
    return numeric_graph(
        whole.graph_def,
        {tensor: (names.get(tensor), specs[tensor]) for tensor in found.entering},
        [(tensor, names.get(tensor)) for tensor in found.leaving],
    )


def numeric_graph(
    graph_def: graph_pb2.GraphDef,
    entering: Mapping[str, tuple[str | None, tf.TensorSpec]],
    leaving: Sequence[tuple[str, str | None]],
) -> NumericGraph:
    """What of a graph lies between some tensors, as engines get it.

    Args:
        graph_def: a graph without variables.
        entering: tensor -> its name, if there is one, and its dtype and shape. Without
            those that nothing reads.
        leaving: tensors, each with its name, if there is one; one may come twice.
    """
    cut = {tensor: _stand_in(spec) for tensor, (_, spec) in entering.items()}
    tensors, names = [tensor for tensor, _ in leaving], [name for _, name in leaving]
    pruned = prune(without_waiting(graph_def), tensors, cut)
    as_a_whole(pruned.graph_def)
    _drop_unused_functions(pruned.graph_def)
    there = pruned.placeholders
    inputs = {there[tensor]: named for tensor, named in entering.items() if tensor in there}
    ends = _with_ends(pruned.graph_def, [there.get(tensor, tensor) for tensor in tensors])
    return NumericGraph.of(pruned.graph_def, inputs, dict(zip(ends, names, strict=True)))


def _with_ends(graph_def: graph_pb2.GraphDef, tensors: Iterable[str]) -> list[str]:
    """A node for each tensor, which no other reads: there engines look for outputs."""
    functions = {f.signature.name: f.signature for f in graph_def.library.function}
    nodes = graph.nodes_by_name(graph_def)
    scope = "end"
    while any(name.startswith(f"{scope}/") for name in nodes):
        scope += "_"
    ends = []
    for number, tensor in enumerate(tensors):
        name, _, index = tensor.partition(":")
        end = graph_def.node.add(name=f"{scope}/{number}", op="Identity", input=[tensor])
        end.attr["T"].type = op_facts.output(nodes[name], int(index), functions)[1]
        ends.append(f"{end.name}:0")
    return ends


def _part(
    whole: Plan,
    fetches: tuple[str, ...],
    updates: tuple[str, ...],
    cut: Mapping[str, Placeholder],
) -> Plan | None:
    """A part of a plan as a plan; its inputs are what it was cut at, and the whole's."""
    if not fetches and not updates:
        return None
    pruned = prune(whole.graph_def, [*fetches, *updates], cut)
    _drop_unused_functions(pruned.graph_def)
    there = {f"{node.name}:0" for node in pruned.graph_def.node if node.op == "Placeholder"}
    return dataclasses.replace(
        whole,
        graph_def=pruned.graph_def,
        inputs={**{p: p for p in whole.inputs if p in there}, **pruned.placeholders},
        resources={node: p for node, p in whole.resources.items() if p in there},
        assets={
            name: kept
            for name, placeholders in whole.assets.items()
            if (kept := [p for p in placeholders if p in there])
        },
        fetches=fetches,
        shapes=(),
        updates=updates,
    )


def _stand_in(spec: tf.TensorSpec) -> Placeholder:
    return Placeholder(spec.dtype.as_datatype_enum, spec.shape.as_proto())


def _drop_unused_functions(graph_def: graph_pb2.GraphDef) -> None:
    graph_def.library.CopyFrom(library.reachable(graph_def.library, graph_def.node))
