"""Whether a module follows the common signatures for text and images.

Consumers write code for a kind of module, not for one module; the common
signatures of tensorflow/hub's documentation say what such code relies on. What only
running a module tells is not checked: that it takes colours from 0 to 1, or
that what it returns are logits.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from hub_keras_bridge.errors import FormatError, SignatureError
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.facts.reading import load_module_spec
from hub_keras_bridge.facts.signatures import DEFAULT_KEY
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.publishing.common_kinds import KINDS, Kind
from hub_keras_bridge.publishing.described import VariantOfSpec
from hub_keras_bridge.publishing.expected_images import IMAGES_INPUT, get_expected_image_size


@dataclass(frozen=True)
class Finding:
    """One way in which a module does not follow a common signature.

    Attributes:
        where: the part of the module, e.g. ``"input 'images'"``.
        expected: what the common signature has there.
        found: what the module has.
    """

    where: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.where}: expected {self.expected}; found {self.found}"


@dataclass(frozen=True)
class Report:
    """What came of holding a module against a common signature.

    Attributes:
        kind: which common signature.
        signature: the module's signature that was checked; None if it has none
            of the name or names looked for.
        findings: what is wrong with it.
    """

    kind: str
    signature: str | None
    findings: tuple[Finding, ...]

    @property
    def follows(self) -> bool:
        """Whether the module follows the common signature."""
        return not self.findings


def check_common_signature(
    spec: ModuleSpec | str | os.PathLike[str],
    kind: str,
    *,
    signature: str | None = None,
    tags: Collection[str] | None = None,
) -> Report:
    """Holds a module against a common signature.

    Args:
        spec: the module, or its handle.
        kind: ``"text-embedding"``, ``"image-feature-vector"`` or
            ``"image-classification"``.
        signature: the signature to check; by default the one that the kind
            goes by: ``"default"``, ``"image_feature_vector"`` or else
            ``"default"``, ``"image_classification"``.
        tags: which variant.

    Returns:
        A report: ``follows``, the ``signature`` that was checked, and ``findings``,
        each with ``where``, ``expected`` and ``found``.

    Raises:
        TagsError: no such variant.
        SignatureError: no such kind.
        HubError: the module cannot be read; see :func:`load_module_spec`.

    Example:

    >>> import tensorflow as tf
    >>> from hub_keras_bridge.publishing.module_fn import add_signature, create_module_spec
    >>> def lengths():
    ...     texts = tf.compat.v1.placeholder(tf.string, [None])
    ...     add_signature(inputs=texts, outputs=tf.strings.length(texts))
    >>> report = check_common_signature(create_module_spec(lengths), "text-embedding")
    >>> report.follows
    False
    >>> for finding in report.findings:
    ...     print(finding)
    output 'default': expected float32 [batch, dim] with any batch and a known dim;
    found int32 [?]
    """
    spec = load_module_spec(spec)
    if kind not in KINDS:
        raise SignatureError(
            f"There is no common signature for modules of kind {kind!r}.",
            spec.subject,
            expected=f"one of {choices(KINDS)}",
            found=repr(kind),
            advice="pass kind=... with one of these",
        )
    rules = KINDS[kind]
    there = spec.get_signature_names(tags)
    wanted = [signature] if signature else rules.signatures
    checked = next((name for name in wanted if name in there), None)
    if checked is None:
        absent = Finding("signatures", " or ".join(map(repr, wanted)), choices(there))
        return Report(kind, None, (absent,))
    inputs = spec.get_input_info_dict(checked, tags)
    outputs = spec.get_output_info_dict(checked, tags)
    findings = [*_in_inputs(inputs, rules), *_in_outputs(outputs, rules)]
    if rules.input_name == IMAGES_INPUT and IMAGES_INPUT in inputs:
        findings += _in_image_size(VariantOfSpec(spec, tags), checked)
    return Report(kind, checked, tuple(findings))


def _in_inputs(inputs: Mapping[str, ParsedTensorInfo], rules: Kind) -> Iterator[Finding]:
    # Code for the common signature feeds one input, and a TF1 Hub module must
    # be fed all that it has.
    if rules.input_name is None and len(inputs) != 1:
        yield Finding("inputs", "exactly one", choices(inputs))
    elif rules.input_name is not None and set(inputs) != {rules.input_name}:
        yield Finding("inputs", f"{rules.input_name!r} alone", choices(inputs))
    for name, info in inputs.items():
        if rules.input_name in (None, name) and not rules.input.fits(info):
            yield Finding(f"input {name!r}", str(rules.input), str(info))


def _in_outputs(outputs: Mapping[str, ParsedTensorInfo], rules: Kind) -> Iterator[Finding]:
    if DEFAULT_KEY not in outputs:
        yield Finding("outputs", f"{DEFAULT_KEY!r}, and any others", choices(outputs))
    elif not rules.output.fits(outputs[DEFAULT_KEY]):
        yield Finding(f"output {DEFAULT_KEY!r}", str(rules.output), str(outputs[DEFAULT_KEY]))


def _in_image_size(module: VariantOfSpec, signature: str) -> Iterator[Finding]:
    try:
        get_expected_image_size(module, signature)
    except FormatError as error:
        yield Finding(
            "image size",
            "known from an attached ImageModuleInfo, or from the shape of the input",
            f"nothing attached, and {error.found}",
        )
