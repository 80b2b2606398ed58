"""Which signature a command runs if none is named."""

from __future__ import annotations

import argparse

from hub_keras_bridge.cli.verbosity import remark
from hub_keras_bridge.errors.words import legible
from hub_keras_bridge.facts.signatures import DEFAULT_SIGNATURE
from hub_keras_bridge.facts.spec import ModuleSpec


def only_signature(spec: ModuleSpec, args: argparse.Namespace) -> str | None:
    """The only signature of a variant, told on stderr, or None if ``"default"`` is meant.

    Raises:
        TagsError: no such variant.
    """
    names = spec.get_signature_names(args.tags)
    if DEFAULT_SIGNATURE in names or len(names) != 1:
        return None
    remark(args, f"Takes the only signature there is, {legible(repr(names[0]))}.")
    return names[0]
