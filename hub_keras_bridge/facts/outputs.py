"""What can be asked of a signature: its outputs, and inner tensors of its graph by name."""

from __future__ import annotations

import dataclasses
import difflib
import itertools
from collections.abc import Collection, Iterable
from typing import TypeAlias

from tensorflow.core.framework import graph_pb2, node_def_pb2

from hub_keras_bridge.errors import HubError, SignatureError, Subject
from hub_keras_bridge.errors.words import choices, listed
from hub_keras_bridge.facts.inner_tensors import InnerTensor, is_tensor_name
from hub_keras_bridge.facts.signatures import DEFAULT_SIGNATURE, SignatureFacts
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.facts.variant import Variant
from hub_keras_bridge.graphs.graph import node_name
from hub_keras_bridge.graphs.ops.unregistered import need_registered
from hub_keras_bridge.graphs.refusing import refusing

# Of a name that is not there, what is looked through for names like it.
_MOST_NAMES, _LONGEST_NAME = 20_000, 300
_SUGGESTIONS = 3

# A layer's argument: one output, or several in a dict; None for the default.
OutputKey: TypeAlias = str | tuple[str, ...] | None


def as_output_key(given: str | Iterable[str] | None) -> OutputKey:
    """The output, or the outputs, that a caller means.

    >>> as_output_key("pooled"), as_output_key(["pooled", "dense/Tanh:0"]), as_output_key([])
    ('pooled', ('pooled', 'dense/Tanh:0'), None)
    """
    if not given:
        return None
    return tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else given


def output_keys(output_key: OutputKey) -> tuple[str, ...]:
    """The outputs that are named.

    >>> output_keys("pooled"), output_keys(None)
    (('pooled',), ())
    """
    if isinstance(output_key, tuple):
        return output_key
    return () if output_key is None else (output_key,)


def signature_giving(
    variant: Variant, signature_name: str | None, outputs: Iterable[str]
) -> SignatureFacts:
    """A signature with the outputs asked of it, inner tensors of the graph among them.

    What is no output of the signature, but has the form of a tensor's name
    (``node:index``), is a tensor of the graph as published.

    Args:
        variant: whose signature.
        signature_name: which one; None for ``"default"``.
        outputs: names of outputs and of tensors.

    Returns:
        The signature's facts; inner tensors stand behind its own outputs.

    Raises:
        SignatureError: there is no such signature, output or tensor; or the tensor has
            no value that a call could return.
        UnknownOpError: TensorFlow lacks the op that computes it.
    """
    facts = variant.signature(signature_name)
    inner = {
        key: _inner(variant, signature_name, key) for key in outputs if key not in facts.outputs
    }
    return dataclasses.replace(facts, outputs={**facts.outputs, **inner}) if inner else facts


def _inner(variant: Variant, signature_name: str | None, key: str) -> ParsedTensorInfo:
    subject = variant.subject.with_signature(signature_name or DEFAULT_SIGNATURE)
    own = variant.signature(signature_name).outputs
    if not is_tensor_name(key):
        raise _no_output(variant, own, key, subject)
    node = variant.inner_tensors.nodes.get(node_name(key))
    found = _tensors(variant, node, subject) if node is not None else []
    tensor = next((each for each in found if each.name == key), None)
    if tensor is None:
        raise _no_tensor(variant, own, key, subject)
    if tensor.obstacle is not None:
        raise SignatureError(
            f"Cannot return tensor {key!r} of a {subject.kind}.",
            subject,
            expected="a tensor that has one value in a call",
            found=f"the output of a node of type {tensor.op}: {tensor.obstacle.what}",
            advice=tensor.obstacle.advice,
        )
    return tensor.info


def _tensors(variant: Variant, node: node_def_pb2.NodeDef, subject: Subject) -> list[InnerTensor]:
    if not variant.inner_tensors.knows(node.op):
        need_registered(graph_pb2.GraphDef(node=[node_def_pb2.NodeDef(op=node.op)]), subject)
    with refusing(
        subject,
        f"Cannot tell what a node of a {subject.kind} gives.",
        "a node with the attributes that its op has",
    ):
        return list(variant.inner_tensors.of(node))


def _no_output(
    variant: Variant, own: Collection[str], key: str, subject: Subject
) -> SignatureError:
    of_node = f"; for what node {key!r} of the graph gives, for '{key}:0'"
    return SignatureError(
        f"A signature of a {subject.kind} has no output {key!r}.",
        subject,
        expected=f"one of {choices(own)}",
        found=repr(key),
        advice="ask for an output of this list (a layer's output_key), or for all of them "
        "with as_dict=True" + (of_node if key in variant.inner_tensors.nodes else ""),
    )


def _no_tensor(
    variant: Variant, own: Collection[str], key: str, subject: Subject
) -> SignatureError:
    near = list(itertools.islice(_near(variant, node_name(key)), _SUGGESTIONS))
    such_as = f", such as {listed(map(repr, near))}" if near else ""
    return SignatureError(
        f"A signature of a {subject.kind} has no output {key!r}, its graph no tensor of that name.",
        subject,
        expected=f"one of {choices(own)}, or a tensor of the graph{such_as}",
        found=repr(key),
        advice="look for the name with hub-keras-bridge inspect HANDLE --nodes PATTERN; a variant "
        "for training (training_tags) may have others",
    )


def _near(variant: Variant, wanted: str) -> Iterable[str]:
    """Tensors that may have been meant by a name, the nearest first."""
    tensors = variant.inner_tensors
    for name in _near_names(tensors.nodes, wanted):
        try:
            yield from (each.name for each in tensors.of(tensors.nodes[name]) if not each.obstacle)
        except (HubError, LookupError, TypeError, ValueError):
            continue  # Of this one nobody can say what it gives.


def _near_names(names: Collection[str], wanted: str) -> list[str]:
    """Names that differ from one by the scopes before it, or by its spelling.

    >>> _near_names(["a/b/add", "b/add", "c/sub"], "scope/b/add")
    ['b/add']
    >>> _near_names(["dense/MatMul", "dense/BiasAdd"], "dense/Matmul")
    ['dense/MatMul']
    """
    if wanted in names:
        return [wanted]
    looked_at = [n for n in itertools.islice(names, _MOST_NAMES) if len(n) <= _LONGEST_NAME]
    scoped = [n for n in looked_at if n.endswith(f"/{wanted}") or wanted.endswith(f"/{n}")]
    if scoped:
        return sorted(scoped, key=lambda name: abs(len(name) - len(wanted)))
    return difflib.get_close_matches(wanted[:_LONGEST_NAME], looked_at, _SUGGESTIONS, 0.75)
