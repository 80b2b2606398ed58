"""Decides, for one use of a variant, what graph to run: pure, no effects.

A plan is a pruned graph in which everything that comes from outside (the
signature's inputs, variables, tables, asset paths) is a placeholder, with the
names of what to feed and what to fetch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from hub_keras_bridge import compat, graph
from hub_keras_bridge.errors import FormatError, SignatureError, Subject, UnknownOpError, choices
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
        meta_graph: the pruned graph.
        inputs: tensor of the signature -> its placeholder; without those that
            nothing reads.
        variables: node of a variable -> placeholder for its handle.
        resources: node of a table -> placeholder for its handle.
        assets: file name below ``assets/`` -> placeholders for its path.
        fetches: tensors to return.
        updates: ops to run besides.
        subject: module and tags, for messages.
    """

    meta_graph: meta_graph_pb2.MetaGraphDef
    inputs: dict[str, str]
    variables: dict[str, str]
    resources: dict[str, str]
    assets: dict[str, list[str]]
    fetches: tuple[str, ...]
    updates: tuple[str, ...]
    subject: Subject


def plan(
    variant: Variant,
    fetches: Sequence[str],
    *,
    inputs: Iterable[str] = (),
    updates: Sequence[str] = (),
    cut_state: bool = True,
) -> Plan:
    """Prunes a variant to what fetches and updates need.

    Args:
        variant: whose graph.
        fetches: tensors wanted.
        inputs: tensors that will be fed.
        updates: ops wanted for their effect.
        cut_state: whether variables, tables and asset paths come from outside;
            else their nodes stay, as shape inference wants.

    Raises:
        UnknownOpError: TensorFlow lacks an op that is needed.
        FormatError: the graph is damaged.
    """
    given = list(map(graph.tensor_name, inputs))
    cut = {tensor: _input_placeholder(variant, tensor) for tensor in given}
    if cut_state:
        cut |= _state_placeholders(variant)
    pruned = graph.prune(variant.meta_graph, [*fetches, *updates], cut, variant.subject)
    _check_ops(pruned.meta_graph, variant.subject)
    _raise_version(pruned.meta_graph)
    found = pruned.placeholders
    assets: dict[str, list[str]] = {}
    for tensor, name in variant.assets.items():
        if tensor in found:
            assets.setdefault(name, []).append(found[tensor])
    return Plan(
        meta_graph=pruned.meta_graph,
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
        updates=tuple(updates),
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
    fetches = [name for key in outputs for name in signature.outputs[key].tensor_names]
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
        op
        for op in variant.update_ops
        if training and not unfed_placeholders(variant, [op], fed)
    ]
    return plan(variant, fetches, inputs=signature.input_tensors, updates=updates)


def plan_initialization(variant: Variant, resource: str) -> Plan | None:
    """The graph that fills one table; None if nothing does."""
    initializers = [
        op
        for op in variant.table_initializers
        if resource in graph.upstream(variant.nodes, [op], (), variant.subject)
    ]
    return plan(variant, [], updates=initializers) if initializers else None


def plan_losses(variant: Variant, losses: Sequence[str], signature: SignatureFacts | None) -> Plan:
    """The graph of some regularization losses, under a signature if they need one."""
    return plan(variant, losses, inputs=signature.input_tensors if signature else ())


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


def unfed_placeholders(
    variant: Variant, targets: Iterable[str], fed: Collection[str]
) -> list[str]:
    """Placeholders that the targets need and nobody feeds."""
    needed = graph.upstream(variant.nodes, targets, fed, variant.subject)
    return sorted(
        name
        for name in needed
        if variant.nodes[name].op == "Placeholder"
    )


def _state_placeholders(variant: Variant) -> dict[str, graph.Placeholder]:
    handles = [*(facts.node for facts in variant.variables), *variant.resources]
    return {
        **{f"{node}:0": graph.Placeholder(tf.resource.as_datatype_enum) for node in handles},
        **{tensor: graph.Placeholder(tf.string.as_datatype_enum) for tensor in variant.assets},
    }


def _input_placeholder(variant: Variant, tensor: str) -> graph.Placeholder:
    for signature in variant.meta_graph.signature_def:
        facts = variant.signature(signature)
        for name, spec in zip(facts.input_tensors, facts.input_specs, strict=True):
            if name == tensor:
                return graph.Placeholder(spec.dtype.as_datatype_enum, spec.shape.as_proto())
    raise FormatError(
        f"Cannot feed tensor {tensor!r} of a TF1 Hub module.",
        variant.subject,
        expected="a tensor that a signature has as an input",
        found="none",
    )


def _raise_version(meta_graph: meta_graph_pb2.MetaGraphDef) -> None:
    """Claims today's graph version, unless an op was deprecated since.

    The version decides at import which deprecated ops are let in; a function
    does not keep it. An older one makes TensorFlow log a warning per function.
    """
    versions = meta_graph.graph_def.versions
    today = tf.version.GRAPH_DEF_VERSION
    definitions = (compat.op_def(node.op) for node in meta_graph.graph_def.node)
    deprecated = any(d and 0 < d.deprecation.version <= today for d in definitions)
    if not deprecated:
        versions.producer = max(versions.producer, today)


def _check_ops(meta_graph: meta_graph_pb2.MetaGraphDef, subject: Subject) -> None:
    library = meta_graph.graph_def.library
    functions = {function.signature.name for function in library.function}
    nodes = [*meta_graph.graph_def.node, *(n for f in library.function for n in f.node_def)]
    ops = {node.op for node in nodes} - functions
    unknown = sorted(op for op in ops if compat.op_def(op) is None)
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
        op for op in ops if any(arg.is_ref for arg in compat.op_def(op).input_arg)
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
