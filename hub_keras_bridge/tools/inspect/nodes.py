"""Finds the tensors of a module's graphs by name, and says which of them a call can return."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tensorflow.core.framework import node_def_pb2

from hub_keras_bridge.errors.words import inference_first
from hub_keras_bridge.facts.inner_tensors import InnerTensor
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.facts.variant import Variant
from hub_keras_bridge.graphs.graph import node_name
from hub_keras_bridge.graphs.refusing import refusing
from hub_keras_bridge.plans.calls import nodes_unfed_by
from hub_keras_bridge.plans.runs import need_few_steps
from hub_keras_bridge.tools.inspect.summary import Tags


@dataclass(frozen=True)
class NodeTensor:
    """A tensor of a graph as published.

    Attributes:
        name: ``node:index``, as an ``output_key`` has it; of a node whose op is not
            registered, the node alone.
        op: what computes it.
        dtype: name of the dtype; None where nobody knows.
        shape: None for a free dimension; None as a whole if the rank is not known.
        signatures: those that feed all that it needs.
        obstacle: why no call can return it; None where a call of these signatures can.
    """

    name: str
    op: str
    dtype: str | None
    shape: tuple[int | None, ...] | None
    signatures: tuple[str, ...]
    obstacle: str | None


@dataclass(frozen=True)
class VariantNodes:
    """What was found in one graph of a module, in the graph's order."""

    tags: Tags
    tensors: tuple[NodeTensor, ...]


@dataclass(frozen=True)
class ModuleNodes:
    """What was found in a module.

    Attributes:
        handle: what it was loaded from.
        pattern: what the nodes' names were searched for.
        variants: the one for inference first.
    """

    handle: str
    pattern: str
    variants: tuple[VariantNodes, ...]


def find_nodes(spec: ModuleSpec, pattern: str) -> ModuleNodes:
    """Finds what nodes give whose name matches. Builds no graph and reads no weights.

    Args:
        spec: the module.
        pattern: a regular expression, which is searched for in the nodes' names.

    Raises:
        FormatError: a graph is damaged, or too large.
        re.error: the pattern is no regular expression.

    >>> import tensorflow as tf, hub_keras_bridge as hub
    >>> def module_fn():
    ...     x = tf.compat.v1.placeholder(tf.float32, [None], name="x")
    ...     hub.add_signature(inputs=x, outputs=tf.tanh(x, name="hidden") + 1.0)
    >>> (variant,) = find_nodes(hub.create_module_spec(module_fn), "hid").variants
    >>> variant.tensors[0].name, variant.tensors[0].op, variant.tensors[0].signatures
    ('hidden:0', 'Tanh', ('default',))
    """
    variants = [spec.variant(tags) for tags in sorted(spec.get_tags(), key=inference_first)]
    found = tuple(
        VariantNodes(tuple(sorted(each.tags)), tuple(_find(each, re.compile(pattern))))
        for each in variants
    )
    return ModuleNodes(spec.files.name, pattern, found)


def _find(variant: Variant, pattern: re.Pattern[str]) -> Iterator[NodeTensor]:
    nodes = variant.inner_tensors.nodes
    matching = [node for name, node in nodes.items() if pattern.search(name)]
    need_few_steps(variant)
    unfed = {n: nodes_unfed_by(variant, n) for n in variant.signature_names} if matching else {}
    for node in matching:
        with refusing(variant.subject):
            yield from _tensors(variant, node, unfed)


def _tensors(
    variant: Variant, node: node_def_pb2.NodeDef, unfed: Mapping[str, set[str]]
) -> Iterator[NodeTensor]:
    if not variant.inner_tensors.knows(node.op):
        yield NodeTensor(node.name, node.op, None, None, (), "its op is not registered")
        return
    for tensor in variant.inner_tensors.of(node):
        yield _summary(variant, tensor, unfed)


def _summary(variant: Variant, tensor: InnerTensor, unfed: Mapping[str, set[str]]) -> NodeTensor:
    shape, (source,) = tensor.info.get_shape(), tensor.info.tensor_names
    feeding = [
        name
        for name, nodes in unfed.items()
        if node_name(source) not in nodes or source in variant.signature(name).input_tensors
    ]
    return NodeTensor(
        name=tensor.name,
        op=tensor.op,
        dtype=tensor.info.dtype.name,
        shape=None if shape.rank is None else tuple(shape.as_list()),
        signatures=() if tensor.obstacle else tuple(feeding),
        obstacle=tensor.obstacle.what if tensor.obstacle else None,
    )
