"""The module that is converted: how it is named, and how it is loaded."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import TypeAlias

from hub_keras_bridge.errors import Subject
from hub_keras_bridge.facts.signatures import DEFAULT_SIGNATURE
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.frontends.tf2.load import load
from hub_keras_bridge.frontends.tf2.loaded_module import LoadedModule
from hub_keras_bridge.plans.trust import Trust
from hub_keras_bridge.running.place import need_eager_execution

Handle: TypeAlias = str | os.PathLike[str] | ModuleSpec
Path: TypeAlias = str | os.PathLike[str]

CANNOT_WRITE = "Cannot write what a TF1 Hub module was converted to."


def loaded(
    spec: ModuleSpec, tags: Collection[str] | None, signature: str | None, trust: Trust
) -> LoadedModule:
    """The module as :func:`load` has it, with a signature to call.

    Raises:
        GraphModeError: a TF1 graph is being built.
        SignatureError: no such signature.
        HubError: what :func:`load` raises.
    """
    need_eager_execution(
        "Cannot convert a TF1 Hub module in a TF1 graph.",
        spec.subject,
        functions="TensorFlow 2",
        advice="convert it outside the graph",
    )
    # What a call runs must be there, while load() does without.
    spec.variant(tags).signature(signature)
    module = load(spec, tags, signature=signature, **trust.to_config())
    assert isinstance(module, LoadedModule)
    return module


def subject_of(spec: ModuleSpec, tags: Collection[str] | None, signature: str | None) -> Subject:
    """What errors are about: one signature of one variant."""
    return spec.variant(tags).subject.with_signature(signature or DEFAULT_SIGNATURE)
