"""Which function of a TF2 SavedModel a call runs, and what that takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from hub_keras_bridge.errors import SignatureError, Subject
from hub_keras_bridge.errors.words import choices

OWN = "__call__"
SERVING = tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY


@dataclass(frozen=True)
class Call:
    """What a call runs.

    Attributes:
        runs: ``"__call__"``, or the name of a signature.
        function: from the inputs to what the call returns.
        inputs: dtypes and shapes, of the only input or by name.
        serves: the name of the signature that does the same, if there is one.
        takes_training: whether the function is to be told if it is a training call.
    """

    runs: str
    function: Callable[..., Any]
    inputs: Any
    serves: str | None
    takes_training: bool


def choose_call(restored: Any, wanted: str | None, subject: Subject) -> Call | None:
    """The SavedModel's own call, or a signature.

    Args:
        restored: what ``tf.saved_model.load`` returned.
        wanted: name of a signature; None for the SavedModel's own ``__call__``, or,
            if it has none of one input, ``serving_default`` or the only signature.
        subject: for messages.

    Returns:
        None if no signature is wanted, and none suggests itself.

    Raises:
        SignatureError: there is no such signature.
    """
    own = None if wanted else own_call(restored)
    if own is not None:
        specs = own.concrete_functions[0].structured_input_signature[0][0]
        serves = SERVING if SERVING in restored.signatures else None
        return Call(OWN, own, specs, serves, _takes_training(own))
    name = _chosen(restored.signatures, wanted, subject)
    if name is None:
        return None
    specs, function = _of_signature(restored.signatures[name])
    return Call(name, function, specs, name, _takes_training(function))


def own_call(restored: Any) -> Any:
    """The object's traced ``__call__``, if it takes one input; None without one."""
    function = getattr(restored, OWN, None) if callable(restored) else None
    if function is None or not getattr(function, "concrete_functions", None):
        return None
    try:
        inspect.signature(function).bind(
            None, **({"training": False} if _takes_training(function) else {})
        )
    except TypeError:
        return None
    return function


def _takes_training(function: Callable[..., Any]) -> bool:
    return "training" in inspect.signature(function).parameters


def traced_again(signature: Any) -> Any:
    """The same signature, as one that was not restored: only such are saved again."""

    def serve(**inputs: Any) -> dict[str, Any]:
        return signature(**inputs)

    _, specs = signature.structured_input_signature
    return tf.function(serve, autograph=False).get_concrete_function(**specs)


def _chosen(signatures: Mapping[str, Any], wanted: str | None, subject: Subject) -> str | None:
    if wanted is not None and wanted not in signatures:
        raise SignatureError(
            f"A TF2 SavedModel has no signature {wanted!r}.",
            subject,
            expected=f"one of {choices(signatures)}",
            found=repr(wanted),
            advice="pass signature=... with one of these names"
            if signatures
            else "leave signature out",
        )
    alone = next(iter(signatures)) if len(signatures) == 1 else None
    return wanted or (SERVING if SERVING in signatures else alone)


def _of_signature(signature: Any) -> tuple[Any, Callable[..., Any]]:
    """What a signature takes, and the function that makes it a ``__call__``."""
    _, specs = signature.structured_input_signature
    only = next(iter(specs)) if len(specs) == 1 else None

    def run(inputs: Any, training: bool = False) -> Any:  # noqa: ARG001
        outputs = signature(**({only: inputs} if only else inputs))
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    function = tf.function(run, autograph=False)
    given = specs[only] if only else dict(specs)
    for training in (False, True):
        function.get_concrete_function(given, training=training)
    return given, function
