"""What a module holds, told without running any of it: a ModuleSpec in, facts out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.framework import graph_pb2

from hub_keras_bridge.errors.words import inference_first
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.facts.variant import Variant
from hub_keras_bridge.publishing.image_info import IMAGE_MODULE_INFO_KEY, ImageModuleInfo
from hub_keras_bridge.tools.inspect.scopes import scopes_of, with_scopes
from hub_keras_bridge.tools.inspect.summary import (
    AssetSummary,
    AttachmentSummary,
    ModuleSummary,
    OpSummary,
    SignatureSummary,
    TensorSummary,
    VariantSummary,
)
from hub_keras_bridge.tools.inspect.variables import variables_of

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
    variables = with_scopes(variables_of(spec, variants))
    trainable = [variable for variable in variables if variable.trainable]
    return ModuleSummary(
        handle=spec.files.name,
        parameters=sum(variable.parameters for variable in variables),
        trainable_parameters=sum(variable.parameters for variable in trainable),
        bytes=sum(variable.bytes for variable in variables),
        variants=tuple(map(_variant, variants)),
        variables=variables,
        scopes=scopes_of(variables),
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
