"""Which of the outputs of a TF2 SavedModel a call of a layer returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub_keras_bridge.errors import SignatureError, Subject
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.facts.inner_tensors import is_tensor_name
from hub_keras_bridge.facts.signatures import DEFAULT_KEY
from hub_keras_bridge.frontends.keras3.choice import Choice


def chosen_outputs(outputs: Any, choice: Choice, subject: Subject) -> Any:
    """What of a function's results is wanted.

    Args:
        outputs: all of them.
        choice: what of the SavedModel the layer uses.
        subject: for messages.

    Raises:
        SignatureError: there is no such output.
    """
    by_name = outputs if isinstance(outputs, Mapping) else {DEFAULT_KEY: outputs}
    if choice.as_dict and choice.returns_one:
        return dict(by_name)
    keys = choice.keys
    if not keys:
        return outputs
    for key in keys:
        if key not in by_name:
            inner = "; inner tensors go by name in a TF1 Hub module alone"
            raise SignatureError(
                f"A TF2 SavedModel has no output {key!r}.",
                subject,
                expected=f"one of {choices(by_name)}",
                found=repr(key),
                advice="pass output_key=... with a name of this list, or none"
                + (inner if is_tensor_name(key) else ""),
            )
    if choice.returns_one:
        return by_name[keys[0]]
    return {key: by_name[key] for key in keys}
