"""A TF1 Hub module on its way through a Keras config (its facts) and archive (all of it).

Keras restores a model from its config first, then the weights, then the
assets. So the config carries the module's facts, signatures and variables,
without the graphs; these and the vocabularies lie among the assets.
"""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
import weakref
import zlib
from collections.abc import Collection

from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from hub_keras_bridge.errors import FormatError, HubError, Subject
from hub_keras_bridge.facts.reading import read_tf1_spec
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.files import module_folder, module_writing

# Specs in use, so that a clone shares its original's; one made in memory has no
# other way into a clone.
_LIVE: weakref.WeakValueDictionary[str, ModuleSpec] = weakref.WeakValueDictionary()

# Facts have no graphs: what is known takes some hundred kilobytes.
_MOST_BYTES = 1 << 26

_COLLECTIONS = ("variables", "trainable_variables", "model_variables")


def describe(spec: ModuleSpec) -> dict[str, str]:
    """What a Keras config needs to know of a module, ready for JSON."""
    facts = _facts(spec).SerializeToString(deterministic=True)
    whole = spec.files.saved_model.SerializeToString(deterministic=True)
    identity = hashlib.sha256(whole + b"\0" + spec.files.name.encode()).hexdigest()
    if not spec.files.facts_only:
        _LIVE[identity] = spec
    return {"identity": identity, "facts": base64.b64encode(zlib.compress(facts, 9)).decode()}


def revive(description: dict[str, str], handle: str, tags: Collection[str] | None) -> ModuleSpec:
    """The spec that a config describes.

    That is the very one if it is still in use and its weights still there,
    else the module behind the handle if it is a folder and still the same, else
    the facts alone.
    """
    live = _LIVE.get(description["identity"])
    if live is not None and module_folder.has_checkpoint(live.files):
        return live
    facts = _decode(description["facts"], Subject(handle))
    described = ModuleSpec(
        module_folder.ModuleFiles(name=handle, saved_model=facts, facts_only=True)
    )
    if not os.path.isdir(handle):
        return described
    try:
        on_disk = read_tf1_spec(handle, handle, tags)
    except HubError:
        return described
    return on_disk if same_facts(on_disk, described) else described


def _decode(facts: str, subject: Subject) -> saved_model_pb2.SavedModel:
    """The facts in a config, which may come from anyone."""
    try:
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(base64.b64decode(facts), _MOST_BYTES)
        if not unpacker.eof:
            raise ValueError(f"cut short, or more than {_MOST_BYTES} bytes")
        return saved_model_pb2.SavedModel.FromString(content)
    except (ValueError, zlib.error, DecodeError) as error:
        raise FormatError(
            "Cannot read what a Keras config says of a TF1 Hub module.",
            subject,
            expected="a packed SavedModel message with the module's signatures and variables",
            found=str(error),
            advice="save the model again; its config is damaged",
        ) from error


def same_facts(one: ModuleSpec, other: ModuleSpec) -> bool:
    """Whether two specs have the same variants, signatures and variables."""
    return _facts(one) == _facts(other)


def save_graphs(spec: ModuleSpec, folder: str) -> None:
    """Writes graphs and assets, not the variables, into a folder."""
    module_writing.write_graphs(folder, spec.files)


def load_graphs(folder: str, name: str) -> ModuleSpec:
    """The inverse of :func:`save_graphs`; the folder may go afterwards.

    Args:
        folder: where :func:`save_graphs` wrote.
        name: the module as messages call it.
    """
    files = module_folder.read_module(folder, name)
    if not files.assets:
        return ModuleSpec(files)
    # Tables read their files when they are filled, exports copy them later.
    keepalive = tempfile.TemporaryDirectory(prefix="hub_keras_bridge_")
    module_writing.copy_assets(files.assets, keepalive.name)
    return ModuleSpec(
        module_folder.ModuleFiles(
            name=name,
            saved_model=files.saved_model,
            assets={a: os.path.join(keepalive.name, *a.split("/")) for a in files.assets},
            keepalive=keepalive,
        )
    )


def _facts(spec: ModuleSpec) -> saved_model_pb2.SavedModel:
    facts = saved_model_pb2.SavedModel()
    for tags in spec.get_tags():
        variant = spec.variant(tags)
        meta_graph = facts.meta_graphs.add()
        meta_graph.meta_info_def.tags.extend(sorted(tags))
        for name in variant.signature_names:
            meta_graph.signature_def[name].CopyFrom(variant.meta_graph.signature_def[name])
        for collection in _COLLECTIONS:
            if collection in variant.published.collection_def:
                meta_graph.collection_def[collection].CopyFrom(
                    variant.published.collection_def[collection]
                )
        meta_graph.graph_def.node.extend(variant.nodes[v.node] for v in variant.variables)
    return facts
