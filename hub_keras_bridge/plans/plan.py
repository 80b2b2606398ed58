"""Decides, for one question to a variant, what graph to run: pure, no effects.

A plan is a pruned graph in which everything that comes from outside (the
signature's inputs, variables, tables, asset paths) is a placeholder, with the
names of what to feed and what to fetch.

It runs in a function, where v1 control flow cannot be differentiated as it is,
and where a device or a colocation may name what is absent. (A session's graph
takes in the whole graph as published, see graphs/published.py.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2, op_def_pb2

from hub_keras_bridge.errors import FormatError, Subject
from hub_keras_bridge.facts.variant import Variant
from hub_keras_bridge.graphs import (
    graph,
    library,
)
from hub_keras_bridge.graphs.prune import Placeholder, Pruned, Walk, cut_out
from hub_keras_bridge.graphs.refusing import refusing
from hub_keras_bridge.plans.rewriting import as_function, check_ops, finish


@dataclass(frozen=True, eq=False)
class Plan:
    """What to import, feed and fetch.

    Attributes:
        graph_def: the pruned graph; for a function, with control flow as
            functions. TensorFlow imports this, and nothing else of the module.
        producer_ops: the ops as the publisher's TensorFlow had them.
        inputs: tensor of the signature -> its placeholder; without those that
            nothing reads and nobody fetches.
        variables: node of a variable -> placeholder for its handle.
        values: node of a variable -> placeholder for its value, in place of a handle; what
            else a plan on values takes is under a name of its own, see ``of_values``.
        written: of these the ones whose new values are fetched, behind all else.
        resources: node of a table -> placeholder for its handle.
        made_here: whether this program made the module's graphs.
        makers: the nodes of these tables, which make them.
        state: nodes of the graph that stand for state of the module's own, where
            that is not given.
        assets: file name below ``assets/`` -> placeholders for its path.
        fetches: tensors to return; of what comes from outside, the placeholder.
        shapes: what the signature says of them; may be shorter.
        updates: ops to run besides.
        differentiable: whether the graph's gradient can be trusted.
        subject: module and tags, for messages.
    """

    graph_def: graph_pb2.GraphDef
    producer_ops: op_def_pb2.OpList
    inputs: dict[str, str]
    variables: dict[str, str]
    resources: dict[str, str]
    assets: dict[str, list[str]]
    fetches: tuple[str, ...]
    shapes: tuple[tf.TensorShape, ...]
    updates: tuple[str, ...]
    differentiable: bool
    subject: Subject
    made_here: bool = False
    makers: tuple[node_def_pb2.NodeDef, ...] = ()
    state: frozenset[str] = frozenset()
    values: Mapping[str, str] = field(default_factory=dict)
    written: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """What is asked of a variant at once; equal where the plans would be.

    Attributes:
        fetches: tensors wanted.
        inputs: tensors that will be fed, each an input of a signature.
        fed: any other tensors that will be fed, and what with.
        shapes: static shapes of the fetches, where a signature states them.
        updates: ops wanted for their effect.
        cut_state: whether the handles of variables and tables come from outside;
            else nodes stay for them, as shape inference wants.
    """

    fetches: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    fed: tuple[tuple[str, tf.TensorSpec], ...] = ()
    shapes: tuple[tf.TensorShape, ...] = ()
    updates: tuple[str, ...] = ()
    cut_state: bool = True

    def walk(self, variant: Variant) -> Walk:
        """What runs for it, as :func:`plan` plans it."""
        return variant.walk(self.targets, [*self.inputs, *dict(self.fed)])

    @property
    def targets(self) -> tuple[str, ...]:
        """The tensors and ops wanted."""
        return (*self.fetches, *self.updates)


def plan(variant: Variant, question: Question) -> Plan:
    """Prunes a variant to what fetches and updates need.

    Raises:
        UnknownOpError: TensorFlow lacks an op that is needed.
        FormatError: the graph is damaged.
    """
    with refusing(
        variant.subject,
        "Cannot prepare the graph of a TF1 Hub module.",
        "nodes with the inputs and attributes that their ops have",
    ):
        return _plan(variant, question)


def _plan(variant: Variant, question: Question) -> Plan:
    fetches, updates = question.fetches, question.updates
    inputs, others = list(map(graph.tensor_name, question.inputs)), dict(question.fed)
    stand_ins = _input_placeholders(variant, inputs)
    stand_ins |= {tensor: _placeholder(spec) for tensor, spec in others.items()}
    pruned = _cut_out(variant, question.targets, stand_ins)
    found = pruned.placeholders
    targets = [found.get(graph.tensor_name(target), target) for target in question.targets]
    handles = {t: p for t, p in found.items() if t in variant.state and t not in variant.assets}
    check_ops(pruned.graph_def, variant.subject)
    rewritten = as_function(variant, pruned, targets)
    if not question.cut_state:
        _stand_by_themselves(variant, rewritten.graph_def, handles)
    finish(rewritten.graph_def)
    assets: dict[str, list[str]] = {}
    for tensor in found:
        if tensor in variant.assets:
            assets.setdefault(variant.assets[tensor], []).append(found[tensor])
    by_node = {graph.node_name(tensor): placeholder for tensor, placeholder in handles.items()}
    tables = sorted(by_node.keys() & variant.resources)
    return Plan(
        graph_def=rewritten.graph_def,
        producer_ops=variant.meta_graph.meta_info_def.stripped_op_list,
        inputs={tensor: found[tensor] for tensor in (*inputs, *others) if tensor in found},
        variables={node: p for node, p in by_node.items() if node not in variant.resources},
        resources={node: by_node[node] for node in tables},
        made_here=variant.made_here,
        makers=tuple(variant.nodes[node] for node in tables),
        state=frozenset(() if question.cut_state else map(graph.node_name, handles.values())),
        assets=assets,
        fetches=tuple(map(graph.tensor_name, targets[: len(fetches)])),
        shapes=question.shapes,
        updates=tuple(rewritten.moved.get(op, op) for op in updates),
        # TensorFlow 2 does not ask a library what gradient a function has.
        differentiable=rewritten.differentiable and not rewritten.graph_def.library.gradient,
        subject=variant.subject,
    )


def _cut_out(variant: Variant, targets: Sequence[str], stand_ins: dict[str, Placeholder]) -> Pruned:
    """The part of the variant's graph that the targets need."""
    cut = variant.cut(stand_ins)
    walked = variant.walk(targets, cut)
    state = {t: Placeholder(variant.state[t]) for t in walked.given if t in variant.state}
    nodes = sorted(walked.nodes, key=variant.order.__getitem__)
    pruned = cut_out((variant.nodes[n] for n in nodes), walked, cut, {**state, **stand_ins})
    pruned.graph_def.versions.CopyFrom(variant.meta_graph.graph_def.versions)
    library_of_all = variant.meta_graph.graph_def.library
    pruned.graph_def.library.CopyFrom(library.reachable(library_of_all, pruned.graph_def.node))
    return pruned


def _stand_by_themselves(
    variant: Variant, graph_def: graph_pb2.GraphDef, handles: Mapping[str, str]
) -> None:
    """Puts the nodes of state back in place of their placeholders; changes the graph.

    What they were to wait for is left out: nothing runs.
    """
    kept = {graph.node_name(p): variant.nodes[graph.node_name(t)] for t, p in handles.items()}
    for node in graph_def.node:
        if node.name in kept:
            name = node.name
            node.CopyFrom(kept[name])
            node.name, node.device = name, ""
            del node.input[:]


def _input_placeholders(variant: Variant, tensors: Iterable[str]) -> dict[str, Placeholder]:
    """What stands for tensors that signatures have as inputs."""
    specs = variant.input_specs
    placeholders = {}
    for tensor in tensors:
        if tensor not in specs:
            raise FormatError(
                f"Cannot feed tensor {tensor!r} of a TF1 Hub module.",
                variant.subject,
                expected="a tensor that a signature has as an input",
                found="none",
            )
        placeholders[tensor] = _placeholder(specs[tensor])
    return placeholders


def _placeholder(spec: tf.TensorSpec) -> Placeholder:
    return Placeholder(spec.dtype.as_datatype_enum, spec.shape.as_proto())
