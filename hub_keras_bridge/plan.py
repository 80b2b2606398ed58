"""Decides, for one use of a variant, what graph to run: pure, no effects.

A plan is a pruned graph in which everything that comes from outside (the
signature's inputs, variables, tables, asset paths) is a placeholder, with the
names of what to feed and what to fetch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import tensorflow as tf
from absl import logging
from tensorflow.core.framework import graph_pb2, op_def_pb2

from hub_keras_bridge import compat, control_flow, graph, library
from hub_keras_bridge.errors import FormatError, SignatureError, Subject, UnknownOpError, choices
from hub_keras_bridge.prune import Placeholder, prune
from hub_keras_bridge.variant import SignatureFacts, Variant

# Prefix of an op's name -> the package whose import registers it.
_OP_PACKAGES = {
    "Sentencepiece": "tensorflow_text (or tf_sentencepiece for SentencepieceOp)",
    "WhitespaceTokenize": "tensorflow_text",
    "WordpieceTokenize": "tensorflow_text",
    "UnicodeScriptTokenize": "tensorflow_text",
    "NormalizeUTF8": "tensorflow_text",
    "CaseFoldUTF8": "tensorflow_text",
    "RegexSplitWithOffsets": "tensorflow_text",
    "ConstrainedSequence": "tensorflow_text",
    "SentenceFragments": "tensorflow_text",
    "Addons>": "tensorflow_addons",
    "IO>": "tensorflow_io",
    "SimpleMLInferenceOp": "tensorflow_decision_forests",
}


@dataclass(frozen=True, eq=False)
class Plan:
    """What to import, feed and fetch.

    Attributes:
        graph_def: the pruned graph, control flow as functions.
        producer_ops: the ops as the publisher's TensorFlow had them.
        inputs: tensor of the signature -> its placeholder; without those that
            nothing reads.
        variables: node of a variable -> placeholder for its handle.
        resources: node of a table -> placeholder for its handle.
        assets: file name below ``assets/`` -> placeholders for its path.
        fetches: tensors to return.
        shapes: what the signature says of them; may be shorter.
        updates: ops to run besides.
        differentiable: whether the graph's gradient can be trusted in a
            function; a session knows more of its functions.
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


def plan(
    variant: Variant,
    fetches: Sequence[str],
    *,
    inputs: Iterable[str] = (),
    shapes: Sequence[tf.TensorShape] = (),
    updates: Sequence[str] = (),
    cut_state: bool = True,
) -> Plan:
    """Prunes a variant to what fetches and updates need.

    Args:
        variant: whose graph.
        fetches: tensors wanted.
        inputs: tensors that will be fed.
        shapes: static shapes of the fetches, where a signature states them.
        updates: ops wanted for their effect.
        cut_state: whether variables, tables and asset paths come from outside;
            else their nodes stay, as shape inference wants.

    Raises:
        UnknownOpError: TensorFlow lacks an op that is needed.
        FormatError: the graph is damaged.
    """
    given = list(map(graph.tensor_name, inputs))
    cut = _input_placeholders(variant, given)
    if cut_state:
        cut |= _state_placeholders(variant)
    pruned = prune(variant.meta_graph.graph_def, [*fetches, *updates], cut, variant.subject)
    found = pruned.placeholders
    _check_ops(pruned.graph_def, variant.subject)
    handles = [found[t] for f in variant.variables if (t := f"{f.node}:0") in found]
    rewritten = _with_functions(
        pruned.graph_def,
        [*fetches, *updates],
        handles,
        control_flow.undifferentiated_loops(variant.meta_graph),
    )
    _finish(rewritten.graph_def)
    assets: dict[str, list[str]] = {}
    for tensor, name in variant.assets.items():
        if tensor in found:
            assets.setdefault(name, []).append(found[tensor])
    return Plan(
        graph_def=rewritten.graph_def,
        producer_ops=variant.meta_graph.meta_info_def.stripped_op_list,
        inputs={tensor: found[tensor] for tensor in given if tensor in found},
        variables={
            facts.node: found[f"{facts.node}:0"]
            for facts in variant.variables
            if f"{facts.node}:0" in found
        },
        resources={
            node: found[f"{node}:0"] for node in sorted(variant.resources) if f"{node}:0" in found
        },
        assets=assets,
        fetches=tuple(map(graph.tensor_name, fetches)),
        shapes=tuple(shapes),
        updates=tuple(rewritten.moved.get(op, op) for op in updates),
        # TensorFlow 2 does not ask a library what gradient a function has.
        differentiable=rewritten.differentiable and not rewritten.graph_def.library.gradient,
        subject=variant.subject,
    )


def plan_call(
    variant: Variant, signature_name: str, outputs: Sequence[str], *, training: bool
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
    fetches, shapes = signature.fetches(outputs)
    fed = set(signature.input_tensors)
    for key in outputs:
        if missing := unfed_placeholders(variant, signature.outputs[key].tensor_names, fed):
            raise SignatureError(
                f"Cannot compute output {key!r} of a TF1 Hub module.",
                variant.subject.with_signature(signature_name),
                expected="a signature whose inputs feed all that its outputs need",
                found=f"unfed placeholders {choices(missing)}",
                advice="choose another output or signature; this one was published incomplete",
            )
    updates = [
        op for op in variant.update_ops if training and not unfed_placeholders(variant, [op], fed)
    ]
    return plan(variant, fetches, inputs=signature.input_tensors, shapes=shapes, updates=updates)


def plan_initialization(variant: Variant, resource: str) -> Plan | None:
    """The graph that fills one table; None if nothing does."""
    initializers = [
        op
        for op in variant.table_initializers
        if resource in graph.upstream(variant.nodes, [op], (), variant.subject)
    ]
    return plan(variant, [], updates=initializers) if initializers else None


def plan_all(variant: Variant, signature_name: str, outputs: Sequence[str]) -> list[Plan]:
    """Every graph that calls of a signature, training included, may run.

    Raises:
        SignatureError: an output needs an input that the signature lacks.
        UnknownOpError: TensorFlow lacks an op that is needed.
    """
    signature = variant.signature(signature_name)
    plans = [plan_call(variant, signature_name, outputs, training=True)]
    losses = [*standing_losses(variant), *losses_fed_by(variant, signature)]
    if losses:
        plans.append(plan(variant, losses, inputs=signature.input_tensors))
    tables = dict.fromkeys(node for each in plans for node in each.resources)
    return plans + [p for node in tables if (p := plan_initialization(variant, node))]


def standing_losses(variant: Variant) -> tuple[str, ...]:
    """Regularization losses that depend on weights alone."""
    return tuple(t for t in variant.losses if not unfed_placeholders(variant, [t], ()))


def losses_fed_by(variant: Variant, signature: SignatureFacts) -> tuple[str, ...]:
    """Regularization losses that depend on inputs, all in this signature."""
    fed = set(signature.input_tensors)
    return tuple(
        tensor
        for tensor in variant.losses
        if unfed_placeholders(variant, [tensor], ())
        and not unfed_placeholders(variant, [tensor], fed)
    )


def unfed_placeholders(variant: Variant, targets: Iterable[str], fed: Collection[str]) -> list[str]:
    """Placeholders that the targets need and nobody feeds."""
    needed = graph.upstream(variant.nodes, targets, fed, variant.subject)
    return sorted(name for name in needed if variant.nodes[name].op == "Placeholder")


def _state_placeholders(variant: Variant) -> dict[str, Placeholder]:
    handles = [*(facts.node for facts in variant.variables), *variant.resources]
    return {
        **{f"{node}:0": Placeholder(tf.resource.as_datatype_enum) for node in handles},
        **{tensor: Placeholder(tf.string.as_datatype_enum) for tensor in variant.assets},
    }


def _input_placeholders(variant: Variant, tensors: Iterable[str]) -> dict[str, Placeholder]:
    """What stands for tensors that signatures have as inputs."""
    signatures = [variant.signature(name) for name in variant.signature_names]
    specs = {
        tensor: spec
        for facts in signatures
        for tensor, spec in zip(facts.input_tensors, facts.input_specs, strict=True)
    }
    placeholders = {}
    for tensor in tensors:
        if tensor not in specs:
            raise FormatError(
                f"Cannot feed tensor {tensor!r} of a TF1 Hub module.",
                variant.subject,
                expected="a tensor that a signature has as an input",
                found="none",
            )
        spec = specs[tensor]
        placeholders[tensor] = Placeholder(spec.dtype.as_datatype_enum, spec.shape.as_proto())
    return placeholders


@dataclass(frozen=True, eq=False)
class _Rewritten:
    """A graph whose control flow was turned into functions, if it could be.

    Attributes:
        graph_def: the new graph.
        moved: op -> the op to run instead.
        differentiable: False where v1 control flow remains.
    """

    graph_def: graph_pb2.GraphDef
    moved: Mapping[str, str]
    differentiable: bool


def _with_functions(
    graph_def: graph_pb2.GraphDef,
    targets: Sequence[str],
    handles: Collection[str],
    undifferentiated: Collection[str],
) -> _Rewritten:
    if not control_flow.has_control_flow(graph_def):
        return _Rewritten(graph_def, {}, True)
    try:
        rewritten = control_flow.functionalize(graph_def, targets, handles, undifferentiated)
        return _Rewritten(*rewritten, True)
    except control_flow.Irregular as error:
        logging.warning("v1 control flow is left as it is, without gradients: %s", error)
        return _Rewritten(graph_def, {}, False)


def _finish(graph_def: graph_pb2.GraphDef) -> None:
    """Drops what ties a graph to where it was published; changes it.

    A node's device and colocation do not change the numbers, and name what may
    be absent. Recorded output shapes no longer hold after the rewrites.
    """
    for node in graph_def.node:
        for attribute in ("_class", "_output_shapes"):
            node.attr.pop(attribute, None)
    graph_def.library.CopyFrom(library.reachable(graph_def.library, graph_def.node))
    library.rename_functions(graph_def)
    _raise_version(graph_def)


def _raise_version(graph_def: graph_pb2.GraphDef) -> None:
    """Claims today's graph version, unless an op was deprecated since.

    The version decides at import which deprecated ops are let in; a function
    does not keep it. An older one makes TensorFlow log a warning per function.
    """
    today = tf.version.GRAPH_DEF_VERSION
    definitions = (compat.op_def(node.op) for node in graph_def.node)
    deprecated = any(d and 0 < d.deprecation.version <= today for d in definitions)
    if not deprecated:
        graph_def.versions.producer = max(graph_def.versions.producer, today)


def _check_ops(graph_def: graph_pb2.GraphDef, subject: Subject) -> None:
    used = library.reachable(graph_def.library, graph_def.node)
    functions = {function.signature.name for function in used.function}
    nodes = [*graph_def.node, *(n for f in used.function for n in f.node_def)]
    ops = {node.op for node in nodes} - functions
    known = {op: compat.op_def(op) for op in ops}
    unknown = sorted(op for op, definition in known.items() if definition is None)
    if unknown:
        packages = {
            package
            for op in unknown
            for prefix, package in _OP_PACKAGES.items()
            if op.startswith(prefix)
        }
        raise UnknownOpError(
            "Cannot run a TF1 Hub module: it uses ops that are not registered.",
            subject,
            expected=f"ops of TensorFlow {tf.__version__} and of the packages imported so far",
            found=choices(unknown),
            advice=f"install and import {' and '.join(sorted(packages))} before loading the module"
            if packages
            else "import the package that brings these ops before loading the module",
        )
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
