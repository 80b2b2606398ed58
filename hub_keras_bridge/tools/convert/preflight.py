"""What can be told of a conversion before TensorFlow is imported, which takes seconds."""

from __future__ import annotations

import os
from collections.abc import Collection

from hub_keras_bridge.errors import ConversionError, ExportError, Subject
from hub_keras_bridge.errors.redaction import redact
from hub_keras_bridge.files.fetch.resolve import check_handle
from hub_keras_bridge.files.targets import require_free_target

KERAS_ENDING = ".keras"


def check_conversion(
    kind: str,
    handle: str,
    path: str,
    *,
    signature: str | None = None,
    tags: Collection[str] | None = None,
) -> None:
    """Checks what needs no look into the module.

    Args:
        kind: what to convert to: a key of ``CONVERSIONS``.
        handle: the module, or for ``"hub"`` a Keras model.
        path: what to make.
        signature: which signature; None for any.
        tags: which variant; None for any.

    Raises:
        HandleError: the handle leads nowhere.
        ConversionError: a choice that this kind has not.
        ExportError: the target is taken, or has another ending.
    """
    subject = Subject(redact(handle))
    if kind == "hub":
        require_all(signature, tags, Subject(redact(handle), tags, signature))
    if kind == "keras":
        require_keras_ending(path, subject)
    if not (kind == "hub" and handle.endswith(KERAS_ENDING) and os.path.isfile(handle)):
        check_handle(handle)
    require_free_target(path, subject)


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


def require_keras_ending(path: str | os.PathLike[str], subject: Subject) -> None:
    """Checks the name of a Keras model.

    Raises:
        ExportError: it has another ending, which Keras would refuse in words of its own.
    """
    if not os.fspath(path).endswith(KERAS_ENDING):
        raise ExportError(
            "Cannot write a TF1 Hub module as a Keras model.",
            subject,
            expected=f"a file name that ends in {KERAS_ENDING}",
            found=repr(redact(os.fspath(path))),
            advice=f"add {KERAS_ENDING} to the name",
        )
