"""The facts of a module: plain numbers, strings and tuples.

They can be printed, written as JSON (``dataclasses.asdict``) or laid out as a
page; :func:`inspect_module` finds them.
"""

from __future__ import annotations

from dataclasses import dataclass

Tags = tuple[str, ...]


@dataclass(frozen=True)
class TensorSummary:
    """An input or output of a signature.

    Attributes:
        name: its key in the signature.
        kind: ``"dense"``, ``"sparse"``, ``"ragged"``, or the name of its type.
        dtype: name of the dtype.
        shape: None for a free dimension; None as a whole if the rank is free.
    """

    name: str
    kind: str
    dtype: str
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class SignatureSummary:
    """A signature, its inputs and outputs sorted by name."""

    name: str
    inputs: tuple[TensorSummary, ...]
    outputs: tuple[TensorSummary, ...]


@dataclass(frozen=True)
class VariableSummary:
    """A variable, the slices of a partitioned one taken together.

    Attributes:
        name: its TF1 name.
        scope: the row of :attr:`ModuleSummary.scopes` that counts it.
        dtype: name of the dtype.
        shape: in full.
        parameters: how many numbers it holds.
        bytes: their size in memory; 0 for strings, whose length only reading tells.
        trainable: whether a variant has it in TRAINABLE_VARIABLES.
        slices: shapes of the slices of a partitioned variable, else empty.
        variants: tags of the variants that have it.
    """

    name: str
    scope: str
    dtype: str
    shape: tuple[int, ...]
    parameters: int
    bytes: int
    trainable: bool
    slices: tuple[tuple[int, ...], ...]
    variants: tuple[Tags, ...]


@dataclass(frozen=True)
class ScopeSummary:
    """What the variables below one name scope hold together."""

    name: str
    variables: int
    parameters: int
    trainable_parameters: int
    bytes: int


@dataclass(frozen=True)
class AssetSummary:
    """A file under ``assets/``, and the string tensors that stand for its path."""

    name: str
    bytes: int
    tensors: tuple[str, ...]


@dataclass(frozen=True)
class AttachmentSummary:
    """An attached message; ``decoded`` is None unless its key is a known one."""

    key: str
    bytes: int
    decoded: str | None


@dataclass(frozen=True)
class OpSummary:
    """How many nodes have an op, and how many of those are in library functions."""

    op: str
    count: int
    in_functions: int


@dataclass(frozen=True)
class VariantSummary:
    """One graph of a module.

    Attributes:
        tags: what it is known by, sorted.
        signatures: sorted by name.
        losses: tensors of REGULARIZATION_LOSSES.
        update_ops: nodes of UPDATE_OPS.
        attachments: sorted by key.
        nodes: how many there are, those in functions included.
        functions: how many there are in the graph's library.
        ops: the most frequent first.
    """

    tags: Tags
    signatures: tuple[SignatureSummary, ...]
    losses: tuple[str, ...]
    update_ops: tuple[str, ...]
    attachments: tuple[AttachmentSummary, ...]
    nodes: int
    functions: int
    ops: tuple[OpSummary, ...]


@dataclass(frozen=True)
class ModuleSummary:
    """A module.

    Attributes:
        handle: what it was loaded from.
        parameters: how many numbers its variables hold.
        trainable_parameters: how many of these are trainable.
        bytes: size of all variables in memory.
        variants: the one for inference first.
        variables: of all variants, each once, in the order of the graph.
        scopes: parameters by name scope, the biggest first.
        assets: sorted by name.
    """

    handle: str
    parameters: int
    trainable_parameters: int
    bytes: int
    variants: tuple[VariantSummary, ...]
    variables: tuple[VariableSummary, ...]
    scopes: tuple[ScopeSummary, ...]
    assets: tuple[AssetSummary, ...]
