"""A module by whatever describes it: a spec, a handle, a Module or a layer."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any

from hub_keras_bridge.errors import InputError
from hub_keras_bridge.facts.reading import load_module_spec
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo


class VariantOfSpec:
    """A ModuleSpec seen from one variant, as a Module is."""

    def __init__(self, spec: ModuleSpec, tags: Collection[str] | None) -> None:
        self._variant = spec.variant(tags)
        self._spec = spec
        self.subject = self._variant.subject

    def get_input_info_dict(self, signature: str | None = None) -> dict[str, ParsedTensorInfo]:
        """Dtype, shape and kind of each input of a signature."""
        return self._variant.signature(signature).inputs

    def get_attached_message(self, key: str, message_type: type, required: bool = False) -> Any:
        """The message that the publisher attached under ``key``."""
        return self._spec.get_attached_message(key, message_type, self._variant.tags, required)


def described(module_or_spec: Any) -> Any:
    """What has ``get_input_info_dict(signature)`` and ``get_attached_message``.

    Raises:
        InputError: it is none of these.
    """
    if hasattr(module_or_spec, "get_attached_message"):
        return module_or_spec
    if isinstance(module_or_spec, str | os.PathLike):
        return load_module_spec(module_or_spec)
    if not hasattr(module_or_spec, "spec"):
        raise InputError(
            "Cannot tell which images a TF1 Hub module expects.",
            expected="a ModuleSpec, hub.Module or hub.ModuleLayer, or a module's handle",
            found=f"{type(module_or_spec).__name__}: {module_or_spec!r}",
            advice="pass the module itself, not what it returned",
        )
    # A layer; its config is where it tells which variant it runs.
    return VariantOfSpec(module_or_spec.spec, module_or_spec.get_config()["tags"])
