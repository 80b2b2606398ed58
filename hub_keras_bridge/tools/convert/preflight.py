"""What can be told of a conversion before TensorFlow is imported, which takes seconds."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

from hub_keras_bridge.errors import ConversionError, ExportError, Subject
from hub_keras_bridge.errors.redaction import redact
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.files.fetch.resolve import check_handle
from hub_keras_bridge.files.targets import require_free_target, require_target_folder
from hub_keras_bridge.tools.convert.file_kinds import ENGINE_FILES, KERAS, FileKind


def check_conversion(
    kind: str,
    handle: str,
    path: str,
    *,
    signature: str | None = None,
    output_key: Sequence[str] | None = None,
    tags: Collection[str] | None = None,
    int8: bool = False,
) -> None:
    """Checks what needs no look into the module.

    Args:
        kind: what to convert to: a key of ``CONVERSIONS``.
        handle: the module, or for ``"hub"`` a Keras model.
        path: what to make.
        signature: which signature; None for any.
        output_key: which outputs; None for all.
        tags: which variant; None for any.
        int8: whether weights are to be rounded.

    Raises:
        HandleError: the handle leads nowhere.
        ConversionError: a choice that this kind has not, or a package is missing.
        ExportError: the target is taken, or has another ending.
    """
    subject = Subject(redact(handle))
    if kind == "hub":
        require_all(signature, tags, Subject(redact(handle), tags, signature))
    if output_key and kind not in ENGINE_FILES:
        raise _only_for("a choice of outputs (output_key=...)", list(ENGINE_FILES), kind, subject)
    if int8 and not (kind in ENGINE_FILES and ENGINE_FILES[kind].rounds):
        rounding = [name for name, file in ENGINE_FILES.items() if file.rounds]
        raise _only_for("weights of 8 bits (int8=True)", rounding, kind, subject)
    if kind == "keras":
        require_ending(KERAS, path, subject)
    if kind in ENGINE_FILES:
        require_engine_file(ENGINE_FILES[kind], path, subject)
    if not (kind == "hub" and handle.endswith(KERAS.ending) and os.path.isfile(handle)):
        check_handle(handle)
    require_free_target(path, subject)
    require_target_folder(path, subject)


def require_engine_file(kind: FileKind, path: str | os.PathLike[str], subject: Subject) -> None:
    """Checks that a file for an engine can be made and would be whole.

    Raises:
        ConversionError: a package is missing.
        ExportError: the target, or a file that is to be beside it, is taken, or it has
            another ending.
    """
    require_ending(kind, path, subject)
    for file in kind.files(path):
        require_free_target(file, subject)
    if missing := kind.missing:
        assert kind.packages is not None
        raise ConversionError(
            f"Cannot convert a {subject.kind} to {kind.noun}: a package is not installed.",
            subject,
            expected=f"the packages {', '.join(kind.packages.names)}",
            found=f"no {', '.join(missing)}",
            advice=f"python -m pip install 'hub_keras_bridge[{kind.packages.extra}]'",
        )


def require_all(signature: str | None, tags: Collection[str] | None, subject: Subject) -> None:
    """Checks that no part of a module was chosen.

    Raises:
        ConversionError: one was.
    """
    if signature is not None or tags:
        raise ConversionError(
            "Cannot write a part of a TF1 Hub module as a module.",
            subject,
            expected="neither a signature nor tags",
            found="a choice of one signature or variant",
            advice="leave it out; a module keeps all its variants and signatures",
        )


def require_ending(kind: FileKind, path: str | os.PathLike[str], subject: Subject) -> None:
    """Checks the name of a file.

    Raises:
        ExportError: it has another ending, by which no program would know it.
    """
    if not os.fspath(path).endswith(kind.ending):
        raise ExportError(
            f"Cannot write a {subject.kind} as {kind.noun}.",
            subject,
            expected=f"a file name that ends in {kind.ending}",
            found=repr(redact(os.fspath(path))),
            advice=f"add {kind.ending} to the name",
        )


def _only_for(what: str, kinds: Sequence[str], kind: str, subject: Subject) -> ConversionError:
    return ConversionError(
        f"Cannot convert a {subject.kind} so.",
        subject,
        expected=f"{what} where it is converted to {choices(kinds)}",
        found=repr(kind),
        advice="leave it out",
    )
