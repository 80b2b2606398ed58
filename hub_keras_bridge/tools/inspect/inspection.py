"""What a module holds, told without running any of it: a ModuleSpec in, facts out."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.framework import graph_pb2

from hub_keras_bridge.errors.words import inference_first
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.facts.variant import VariableFacts, Variant
from hub_keras_bridge.publishing.image_info import IMAGE_MODULE_INFO_KEY, ImageModuleInfo
from hub_keras_bridge.tools.inspect.summary import (
    AssetSummary,
    AttachmentSummary,
    ModuleSummary,
    OpSummary,
    ScopeSummary,
    SignatureSummary,
    Tags,
    TensorSummary,
    VariableSummary,
    VariantSummary,
)

# A chart with more bars than this tells less.
_SCOPES = 12
# ... and one with a bar for nearly everything tells nothing.
_MOST = 0.9

_KINDS = {tf.TensorSpec: "dense", tf.SparseTensorSpec: "sparse", tf.RaggedTensorSpec: "ragged"}


def inspect_module(spec: ModuleSpec) -> ModuleSummary:
    """Says what a module holds. Builds no graph and reads no weights.

    Args:
        spec: the module.

    Returns:
        Its variants, signatures, variables, assets and ops.

    Raises:
        FormatError: its graphs are damaged.

    Example:

    >>> from hub_keras_bridge.publishing.module_fn import add_signature, create_module_spec
    >>> def module_fn():
    ...     x = tf.compat.v1.placeholder(tf.float32, [None, 2])
    ...     kernel = tf.compat.v1.get_variable("dense/kernel", [2, 3])
    ...     add_signature(inputs=x, outputs=tf.matmul(x, kernel))
    >>> summary = inspect_module(create_module_spec(module_fn))
    >>> summary.parameters, summary.bytes, summary.variables[0].name
    (6, 24, 'dense/kernel')
    >>> summary.variants[0].signatures[0].outputs
    (TensorSummary(name='default', kind='dense', dtype='float32', shape=(None, 3)),)
    """
    variants = [spec.variant(tags) for tags in sorted(spec.get_tags(), key=inference_first)]
    variables = _with_scopes(_variables(spec, variants))
    trainable = [variable for variable in variables if variable.trainable]
    return ModuleSummary(
        handle=spec.files.name,
        parameters=sum(variable.parameters for variable in variables),
        trainable_parameters=sum(variable.parameters for variable in trainable),
        bytes=sum(variable.bytes for variable in variables),
        variants=tuple(map(_variant, variants)),
        variables=variables,
        scopes=_scopes(variables),
        assets=_assets(spec, variants),
    )


def _variant(variant: Variant) -> VariantSummary:
    graph_def = variant.published.graph_def
    ops = _ops(graph_def)
    return VariantSummary(
        tags=tuple(sorted(variant.tags)),
        signatures=tuple(_signature(variant, name) for name in variant.signature_names),
        losses=variant.losses,
        update_ops=variant.update_ops,
        attachments=tuple(_attachment(*pair) for pair in sorted(variant.attachments.items())),
        nodes=sum(op.count for op in ops),
        functions=len(graph_def.library.function),
        ops=ops,
    )


def _signature(variant: Variant, name: str) -> SignatureSummary:
    facts = variant.signature(name)
    return SignatureSummary(
        name,
        inputs=tuple(_tensor(*pair) for pair in facts.inputs.items()),
        outputs=tuple(_tensor(*pair) for pair in facts.outputs.items()),
    )


def _tensor(name: str, info: ParsedTensorInfo) -> TensorSummary:
    shape = info.get_shape()
    kind = type(info.type_spec)
    return TensorSummary(
        name,
        kind=_KINDS.get(kind, kind.__name__),
        dtype=info.dtype.name,
        shape=None if shape.rank is None else tuple(shape.as_list()),
    )


def _ops(graph_def: graph_pb2.GraphDef) -> tuple[OpSummary, ...]:
    outside = Counter(node.op for node in graph_def.node)
    inside = Counter(node.op for f in graph_def.library.function for node in f.node_def)
    counts = outside + inside
    return tuple(
        OpSummary(op, counts[op], inside[op])
        for op in sorted(counts, key=lambda o: (-counts[o], o))
    )


def _attachment(key: str, value: bytes) -> AttachmentSummary:
    decode = _KNOWN_ATTACHMENTS.get(key, lambda _: None)
    return AttachmentSummary(key, len(value), decode(value))


def _image_size(value: bytes) -> str | None:
    """What an ImageModuleInfo message says."""
    try:
        size = ImageModuleInfo.FromString(value).default_image_size
    except DecodeError:
        return None
    return f"default image size: height {size.height}, width {size.width}"


_KNOWN_ATTACHMENTS = {IMAGE_MODULE_INFO_KEY: _image_size}


def _assets(spec: ModuleSpec, variants: Iterable[Variant]) -> tuple[AssetSummary, ...]:
    uses: dict[str, set[str]] = {}
    for variant in variants:
        for tensor, name in variant.assets.items():
            uses.setdefault(name, set()).add(tensor)
    return tuple(
        AssetSummary(
            name,
            bytes=tf.io.gfile.stat(file).length,
            tensors=tuple(sorted(uses.get(name, ()))),
        )
        for name, file in sorted(spec.files.assets.items())
    )


def _variables(spec: ModuleSpec, variants: Iterable[Variant]) -> list[VariableSummary]:
    parts: dict[str, list[VariableFacts]] = {}
    for facts in spec.variables:
        parts.setdefault(facts.name, []).append(facts)
    owners: dict[str, list[Tags]] = {}
    trained: set[str] = set()
    for variant in variants:
        for name in dict.fromkeys(facts.name for facts in variant.variables):
            owners.setdefault(name, []).append(tuple(sorted(variant.tags)))
        trained.update(facts.name for facts in variant.variables if facts.trainable)
    return [
        _variable(slices, name in trained, tuple(owners[name])) for name, slices in parts.items()
    ]


def _variable(
    slices: Sequence[VariableFacts], trainable: bool, variants: tuple[Tags, ...]
) -> VariableSummary:
    first = slices[0]
    parameters = sum(math.prod(part.shape) for part in slices)
    return VariableSummary(
        name=first.name,
        scope="",
        dtype=first.dtype.name,
        shape=first.full_shape or first.shape,
        parameters=parameters,
        bytes=parameters * first.dtype.size,
        trainable=trainable,
        slices=() if first.full_shape is None else tuple(part.shape for part in slices),
        variants=variants,
    )


def _with_scopes(variables: Sequence[VariableSummary]) -> tuple[VariableSummary, ...]:
    """Puts each variable under its name scope, cut at a depth common to all.

    The depth is the greatest at which there are few scopes. Where one of these
    has nearly all parameters, a deeper cut that parts it says more.
    """
    paths = [variable.name.split("/")[:-1] for variable in variables]
    deepest = max(map(len, paths), default=0)

    def cut(depth: int) -> list[str]:
        return ["/".join(path[:depth]) for path in paths]

    # The deeper, the more and the smaller; a name may have any number of slashes.
    depths = range(deepest + 1)
    few = bisect_right(depths, _SCOPES, key=lambda depth: len(set(cut(depth)))) - 1
    telling = bisect_left(
        depths, True, lo=few, key=lambda depth: _largest_share(variables, cut(depth)) < _MOST
    )
    scopes = cut(telling if telling <= deepest else few)
    return tuple(replace(v, scope=scope) for v, scope in zip(variables, scopes, strict=True))


def _largest_share(variables: Sequence[VariableSummary], scopes: Sequence[str]) -> float:
    counts: Counter[str] = Counter()
    for variable, scope in zip(variables, scopes, strict=True):
        counts[scope] += variable.parameters
    return max(counts.values(), default=0) / max(sum(counts.values()), 1)


def _scopes(variables: Iterable[VariableSummary]) -> tuple[ScopeSummary, ...]:
    members: dict[str, list[VariableSummary]] = {}
    for variable in variables:
        members.setdefault(variable.scope, []).append(variable)
    scopes = [
        ScopeSummary(
            name,
            variables=len(inside),
            parameters=sum(variable.parameters for variable in inside),
            trainable_parameters=sum(v.parameters for v in inside if v.trainable),
            bytes=sum(variable.bytes for variable in inside),
        )
        for name, inside in members.items()
    ]
    return tuple(sorted(scopes, key=lambda scope: -scope.parameters))
