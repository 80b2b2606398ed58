"""What is behind a handle: looked up once, and told apart by what is there."""

from __future__ import annotations

import os
from typing import Any, TypeAlias

from hub_keras_bridge.errors.redaction import redact
from hub_keras_bridge.facts.reading import load_module_spec, read_tf1_spec
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.files.fetch.resolve import resolve
from hub_keras_bridge.frontends.keras3 import tf1_saving, tf2_saving
from hub_keras_bridge.frontends.keras3.choice import Choice
from hub_keras_bridge.frontends.keras3.content import Content
from hub_keras_bridge.frontends.keras3.tf1_content import Tf1Content
from hub_keras_bridge.frontends.keras3.tf2_content import Tf2Content
from hub_keras_bridge.frontends.keras3.tf2_facts import Facts
from hub_keras_bridge.frontends.keras3.tf2_saving import SavedModelSource
from hub_keras_bridge.frontends.tf2.saved_model_file import subject_of, tf2_saved_model

Handle: TypeAlias = str | os.PathLike[str] | ModuleSpec


def open_content(handle: Handle | SavedModelSource, choice: Choice, trainable: bool) -> Content:
    """The module or SavedModel that a handle leads to.

    Args:
        handle: what :func:`resolve` takes, or what :func:`revive` returned.
        choice: what of it the layer uses.
        trainable: whether there are training calls now.

    Raises:
        HubError: as ``ModuleLayer`` documents.
    """
    if isinstance(handle, SavedModelSource):
        return Tf2Content.of(handle, choice)
    if not isinstance(handle, str | os.PathLike):
        spec = load_module_spec(handle)
        return Tf1Content.of(spec, choice.within(spec), trainable)
    path, name = resolve(handle), redact(os.fsdecode(handle))
    file = tf2_saved_model(path, subject_of(name))
    if file is None:
        spec = read_tf1_spec(path, name, choice.tags)
        return Tf1Content.of(spec, choice.within(spec), trainable)
    source = tf2_saving.source_of(file, name)
    tf2_saving.share(source)
    return Tf2Content.of(source, choice, file)


def revive(config: dict[str, Any]) -> Any:
    """What a config tells of, to be opened in place of the handle.

    Args:
        config: that of a layer. What ``Content.describe`` wrote, and the handle, are
            taken out of it.
    """
    handle = config.pop("handle")
    if "identity" in config:
        facts = Facts.from_config(config.pop("facts"))
        return tf2_saving.revive(config.pop("identity"), handle, facts)
    description = config.pop("module", None)
    if not description:
        return handle
    asked = tf1_saving.Asked.of(config.get("signature"), config.get("output_key"))
    return tf1_saving.revive(description, handle, config.get("tags"), asked)
