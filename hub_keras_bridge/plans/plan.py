"""Decides, for one use of a variant, what graph to run: pure, no effects.

A plan is a pruned graph in which everything that comes from outside (the
signature's inputs, variables, tables, asset paths) is a placeholder, with the
names of what to feed and what to fetch.

It runs in a function, where v1 control flow cannot be differentiated as it is,
and where a device or a colocation may name what is absent. (A session's graph
takes in the whole graph as published, see graphs/published.py.)
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import tensorflow as tf
from absl import logging
from tensorflow.core.framework import graph_pb2, node_def_pb2, op_def_pb2

from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.errors import FormatError, SignatureError, Subject, UnknownOpError, choices
from hub_keras_bridge.facts.variant import SignatureFacts, Variant
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
from hub_keras_bridge.graphs.prune import Placeholder, Pruned, Walk, cut_out
from hub_keras_bridge.graphs.refusing import refusing


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
        question: what was asked for; equal for equal plans of a variant.
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
    question: Hashable = None


@dataclass(frozen=True)
class Use:
    """What a call asks of a variant at once.

    Attributes:
        fetches: tensors wanted.
        inputs: tensors that will be fed, each an input of a signature.
        shapes: static shapes of the fetches, where a signature states them.
        updates: ops wanted for their effect.
    """

    fetches: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    shapes: tuple[tf.TensorShape, ...] = ()
    updates: tuple[str, ...] = ()

    def walk(self, variant: Variant) -> Walk:
        """What runs for it, as :meth:`plan` plans it."""
        return variant.walk([*self.fetches, *self.updates], self.inputs)

    def plan(self, variant: Variant) -> Plan:
        """The graph for it; see :func:`plan`."""
        return plan(
            variant, self.fetches, inputs=self.inputs, shapes=self.shapes, updates=self.updates
        )


def plan(
    variant: Variant,
    fetches: Sequence[str],
    *,
    inputs: Iterable[str] = (),
    fed: Mapping[str, tf.TensorSpec] | None = None,
    shapes: Sequence[tf.TensorShape] = (),
    updates: Sequence[str] = (),
    cut_state: bool = True,
) -> Plan:
    """Prunes a variant to what fetches and updates need.

    Args:
        variant: whose graph.
        fetches: tensors wanted.
        inputs: tensors that will be fed, each an input of a signature.
        fed: any other tensors that will be fed, and what with.
        shapes: static shapes of the fetches, where a signature states them.
        updates: ops wanted for their effect.
        cut_state: whether the handles of variables and tables come from outside;
            else nodes stay for them, as shape inference wants.

    Raises:
        UnknownOpError: TensorFlow lacks an op that is needed.
        FormatError: the graph is damaged.
    """
    given, others = tuple(inputs), dict(fed or {})
    asked = fetches, given, others.items(), updates, map(str, shapes)
    question = (*map(tuple, asked), cut_state)
    if (made := variant.unused_plans.pop(question, None)) is not None:
        return cast(Plan, made)
    with refusing(
        variant.subject,
        "Cannot prepare the graph of a TF1 Hub module.",
        "nodes with the inputs and attributes that their ops have",
    ):
        made = _plan(
            variant,
            fetches,
            inputs=given,
            fed=others,
            shapes=shapes,
            updates=updates,
            cut_state=cut_state,
        )
    return replace(made, question=question)


def _plan(
    variant: Variant,
    fetches: Sequence[str],
    *,
    inputs: Iterable[str],
    fed: Mapping[str, tf.TensorSpec],
    shapes: Sequence[tf.TensorShape],
    updates: Sequence[str],
    cut_state: bool,
) -> Plan:
    given = [*map(graph.tensor_name, inputs), *fed]
    stand_ins = _input_placeholders(variant, given[: len(given) - len(fed)])
    stand_ins |= {tensor: _placeholder(spec) for tensor, spec in fed.items()}
    targets = [*fetches, *updates]
    pruned = _cut_out(variant, targets, stand_ins)
    found = pruned.placeholders
    targets = [found.get(graph.tensor_name(target), target) for target in targets]
    handles = {t: p for t, p in found.items() if t in variant.state and t not in variant.assets}
    _check_ops(pruned.graph_def, variant.subject)
    rewritten = _as_function(variant, pruned, targets)
    if not cut_state:
        _stand_by_themselves(variant, rewritten.graph_def, handles)
    _finish(rewritten.graph_def)
    assets: dict[str, list[str]] = {}
    for tensor in found:
        if tensor in variant.assets:
            assets.setdefault(variant.assets[tensor], []).append(found[tensor])
    by_node = {graph.node_name(tensor): placeholder for tensor, placeholder in handles.items()}
    tables = sorted(by_node.keys() & variant.resources)
    return Plan(
        graph_def=rewritten.graph_def,
        producer_ops=variant.meta_graph.meta_info_def.stripped_op_list,
        inputs={tensor: found[tensor] for tensor in given if tensor in found},
        variables={node: p for node, p in by_node.items() if node not in variant.resources},
        resources={node: by_node[node] for node in tables},
        made_here=variant.made_here,
        makers=tuple(variant.nodes[node] for node in tables),
        state=frozenset() if cut_state else frozenset(map(graph.node_name, handles.values())),
        assets=assets,
        fetches=tuple(map(graph.tensor_name, targets[: len(fetches)])),
        shapes=tuple(shapes),
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


def plan_call(
    variant: Variant,
    signature_name: str,
    outputs: Sequence[str],
    *,
    training: bool,
) -> Plan:
    """The graph of one call: some outputs of a signature.

    Args:
        variant: whose graph.
        signature_name: which signature.
        outputs: names of the outputs wanted.
        training: whether the update ops that this signature feeds run too.

    Raises:
        SignatureError: an output needs an input that the signature lacks.
    """
    signature = variant.signature(signature_name)
    fetches, _ = signature.fetches(outputs)
    incomplete = _incomplete(variant, fetches, signature.input_tensors)
    for key in outputs:
        names = signature.outputs[key].tensor_names
        if incomplete.intersection(map(graph.node_name, names)):
            missing = unfed_placeholders(variant, names, signature.input_tensors)
            raise SignatureError(
                f"Cannot compute output {key!r} of a TF1 Hub module.",
                variant.subject.with_signature(signature_name),
                expected="a signature whose inputs feed all that its outputs need",
                found=f"unfed placeholders {choices(missing)}",
                advice="choose another output or signature; this one was published incomplete",
            )
    return call_of(variant, signature_name, outputs, training=training).plan(variant)


def call_of(
    variant: Variant, signature_name: str, outputs: Sequence[str], *, training: bool
) -> Use:
    """What :func:`plan_call` plans."""
    signature = variant.signature(signature_name)
    inputs = tuple(signature.input_tensors)
    fetches, shapes = signature.fetches(outputs)
    updates = _fed(variant, variant.update_ops, inputs) if training else ()
    return Use(tuple(fetches), inputs, tuple(shapes), updates)


def uses(variant: Variant, signature_name: str, outputs: Sequence[str]) -> Iterator[Use]:
    """All that calls of a signature ask for, training included; but not what fills tables."""
    yield call_of(variant, signature_name, outputs, training=True)
    signature = variant.signature(signature_name)
    if standing := standing_losses(variant):
        yield Use(standing)
    if fed := losses_fed_by(variant, signature):
        yield Use(fed, tuple(signature.input_tensors))


def tables_read(variant: Variant, signature_name: str, outputs: Sequence[str]) -> list[str]:
    """Nodes of the tables that some outputs of a signature need."""
    call = call_of(variant, signature_name, outputs, training=False)
    return sorted(variant.filled([call.walk(variant)]))


def plan_initialization(variant: Variant, resource: str) -> Plan | None:
    """The graph that fills one table; None if nothing does."""
    initializers = variant.fillings.get(resource)
    return plan(variant, [], updates=initializers) if initializers else None


def plan_all(variant: Variant, signature_name: str, outputs: Sequence[str]) -> list[Plan]:
    """Every graph that calls of a signature, training included, may run.

    Raises:
        SignatureError: an output needs an input that the signature lacks.
        UnknownOpError: TensorFlow lacks an op that is needed.
    """
    call, *others = uses(variant, signature_name, outputs)
    plans = [plan_call(variant, signature_name, outputs, training=True)]
    plans += [use.plan(variant) for use in others]
    return plans + plan_fillings(variant, [use.walk(variant) for use in (call, *others)])


def plan_fillings(variant: Variant, walks: Iterable[Walk]) -> list[Plan]:
    """The graphs that fill the tables that some walks come to."""
    tables = sorted(variant.filled(walks))
    return [filling for node in tables if (filling := plan_initialization(variant, node))]


def keep_plans(variant: Variant, plans: Iterable[Plan], *, training: bool) -> None:
    """Keeps plans of a variant until :func:`plan` is asked for them.

    What was looked at is mostly run soon, and planning is half of the work.

    Args:
        variant: whose plans.
        plans: what :func:`plan_all` made. Each has a copy of its graph.
        training: whether there are training calls; they alone run update ops and
            regularization losses.
    """
    for_training = {*variant.losses, *variant.update_ops}
    variant.unused_plans |= {
        each.question: each
        for each in plans
        if training or for_training.isdisjoint((*each.fetches, *each.updates))
    }


def standing_losses(variant: Variant) -> tuple[str, ...]:
    """Regularization losses that depend on weights alone."""
    return _fed(variant, variant.losses, ())


def losses_fed_by(variant: Variant, signature: SignatureFacts) -> tuple[str, ...]:
    """Regularization losses that depend on inputs, all in this signature."""
    standing = set(standing_losses(variant))
    others = [tensor for tensor in variant.losses if tensor not in standing]
    return _fed(variant, others, set(signature.input_tensors))


def _fed(variant: Variant, targets: Sequence[str], fed: Collection[str]) -> tuple[str, ...]:
    """Those of the targets that need no placeholder but the ones that are fed."""
    incomplete = _incomplete(variant, targets, fed)
    return tuple(target for target in targets if graph.node_name(target) not in incomplete)


def _incomplete(variant: Variant, targets: Sequence[str], fed: Collection[str]) -> set[str]:
    """Of the nodes that the targets need, those that need placeholders that nobody feeds."""
    cut = variant.cut(fed)
    needed = variant.walk(targets, cut).nodes
    unfed = [name for name in needed if variant.nodes[name].op == "Placeholder"]
    if not unfed:
        return set()
    return graph.downstream({name: variant.nodes[name] for name in needed}, unfed, cut)


def unfed_placeholders(variant: Variant, targets: Iterable[str], fed: Collection[str]) -> list[str]:
    """Placeholders that the targets need and nobody feeds."""
    needed = variant.walk(targets, fed).nodes
    return sorted(name for name in needed if variant.nodes[name].op == "Placeholder")


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


@dataclass(frozen=True, eq=False)
class _Rewritten:
    """A pruned graph in the form in which it will run.

    Attributes:
        graph_def: the new graph.
        moved: op -> the op to run instead.
        differentiable: whether a function's gradient would be right.
    """

    graph_def: graph_pb2.GraphDef
    moved: Mapping[str, str] = field(default_factory=dict)
    differentiable: bool = True


def _as_function(variant: Variant, pruned: Pruned, targets: Sequence[str]) -> _Rewritten:
    graph_def = pruned.graph_def
    colocation.take_out(graph_def, ())
    known = {t: variant.variable_of[t] for t in pruned.placeholders if t in variant.variable_of}
    shapes = {graph.node_name(pruned.placeholders[t]): f.shape for t, f in known.items()}
    sparse_lookup.keep(graph_def, shapes)
    if not control_flow.has_control_flow(graph_def):
        batch_norm.fold(graph_def, shapes, targets)
        return _Rewritten(graph_def)
    handles = [pruned.placeholders[tensor] for tensor in known]
    undifferentiated = contexts.undifferentiated_loops(variant.meta_graph)
    try:
        return _Rewritten(
            *control_flow.functionalize(graph_def, targets, handles, undifferentiated)
        )
    except control_flow.Irregular as error:
        logging.warning("v1 control flow is left as it is, without gradients: %s", error)
        return _Rewritten(graph_def, differentiable=False)


def _finish(graph_def: graph_pb2.GraphDef) -> None:
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


def _check_ops(graph_def: graph_pb2.GraphDef, subject: Subject) -> None:
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
