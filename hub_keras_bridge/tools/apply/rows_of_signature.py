"""Whether a signature can be run over examples: a row of each input and output for each."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hub_keras_bridge.errors import SignatureError, Subject
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo

Infos = Mapping[str, ParsedTensorInfo]


def require_inputs(wanted: Collection[str], known: Infos, subject: Subject) -> None:
    """Checks that there are inputs of these names.

    Raises:
        SignatureError: there is no such input.
    """
    if unknown := set(wanted) - known.keys():
        raise SignatureError(
            f"A signature of a TF1 Hub module has no input {choices(unknown)}.",
            subject,
            expected=f"some of {choices(known)}",
            found=choices(wanted),
            advice="choose from the signature's inputs",
        )


def fixed_size(inputs: Infos, subject: Subject) -> int | None:
    """The first dimension that inputs have in common, if they fix it.

    Args:
        inputs: those that vary from example to example.
        subject: module, tags and signature, for messages.

    Raises:
        SignatureError: one has no dimension for the examples, or they fix it to sizes
            that cannot be met.
    """
    shapes = {name: info.get_shape() for name, info in inputs.items()}
    scalars = [name for name, shape in shapes.items() if shape.rank == 0]
    if scalars or not shapes:
        raise SignatureError(
            "Cannot run a signature of a TF1 Hub module over examples: "
            + ("an input has no dimension for them." if scalars else "no input varies."),
            subject,
            expected="inputs whose first dimension is that of the examples",
            found=", ".join(f"{name!r}: {inputs[name]}" for name in shapes) or "none",
            advice=f"give {choices(scalars)} a value that is the same for all examples "
            "(fixed, --set NAME=VALUE)"
            if scalars
            else "call hub.ModuleLayer(...) once instead",
        )
    sizes = {shape.as_list()[0] for shape in shapes.values() if shape.rank} - {None}
    sparse = sizes and any(info.is_sparse for info in inputs.values())
    if len(sizes) > 1 or sparse:
        raise SignatureError(
            "Cannot run a signature of a TF1 Hub module over examples: "
            "its inputs fix the batch size in a way that cannot be met.",
            subject,
            expected="one batch size, of dense or ragged inputs",
            found=", ".join(f"{name!r}: {info}" for name, info in inputs.items()),
            advice="call hub.ModuleLayer(...) with whole batches instead",
        )
    return sizes.pop() if sizes else None


def require_rows_out(outputs: Infos, size: int | None, subject: Subject) -> None:
    """Refuses outputs of which it is known already that they have no row per example.

    Args:
        outputs: what the signature says of them.
        size: of a batch, if it is fixed.
        subject: module, tags and signature, for messages.

    Raises:
        SignatureError: there is such an output, or one is sparse.
    """
    for name, info in outputs.items():
        shape = info.get_shape()
        varies = shape.rank is None or (shape.rank and shape.as_list()[0] in (None, size))
        if info.is_sparse or not varies:
            raise SignatureError(
                f"Output {name!r} of a TF1 Hub module has no row per example.",
                subject,
                expected="a dense or ragged output whose first dimension is that of the examples",
                found=str(info),
                advice="choose other outputs (output_key, --output-key)",
            )
