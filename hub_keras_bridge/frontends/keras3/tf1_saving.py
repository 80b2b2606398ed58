"""A TF1 Hub module on its way through a Keras config (its facts) and archive (all of it).

Keras restores a model from its config first, then the weights, then the
assets. So the config carries the module's facts, signatures and variables,
without the graphs; these and the vocabularies lie among the assets.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import os
import tempfile
import weakref
import zlib
from collections.abc import Collection, Iterable

from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from hub_keras_bridge.errors import FormatError, HubError, Subject
from hub_keras_bridge.facts.outputs import as_output_key, output_keys, signature_giving
from hub_keras_bridge.facts.reading import read_tf1_spec
from hub_keras_bridge.facts.signatures import DEFAULT_SIGNATURE
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.facts.tensor_protos import dense_info
from hub_keras_bridge.facts.variant import Variant
from hub_keras_bridge.files import module_folder, module_writing

# Specs in use, so that a clone shares its original's; one made in memory has no
# other way into a clone.
_LIVE: weakref.WeakValueDictionary[str, ModuleSpec] = weakref.WeakValueDictionary()

# Facts have no graphs: what is known takes some hundred kilobytes.
_MOST_BYTES = 1 << 26

_COLLECTIONS = ("variables", "trainable_variables", "model_variables")


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a layer asks of a module; its inner tensors are facts as its outputs are.

    Attributes:
        signature: which signature it calls.
        outputs: names of outputs and of inner tensors, where it names any.
    """

    signature: str
    outputs: tuple[str, ...]

    @classmethod
    def of(cls, signature: str | None, output_key: str | Iterable[str] | None) -> Asked:
        """What a layer's arguments ask."""
        return cls(signature or DEFAULT_SIGNATURE, output_keys(as_output_key(output_key)))


def describe(spec: ModuleSpec, asked: Asked) -> dict[str, str]:
    """What a Keras config needs to know of a module, ready for JSON."""
    facts = _facts(spec, asked).SerializeToString(deterministic=True)
    whole = spec.files.saved_model.SerializeToString(deterministic=True)
    identity = hashlib.sha256(whole + b"\0" + spec.files.name.encode()).hexdigest()
    if not spec.files.facts_only:
        _LIVE[identity] = spec
    return {"identity": identity, "facts": base64.b64encode(zlib.compress(facts, 9)).decode()}


def revive(
    description: dict[str, str], handle: str, tags: Collection[str] | None, asked: Asked
) -> ModuleSpec:
    """The spec that a config describes.

    That is the very one if it is still in use and its weights still there,
    else the module behind the handle if it is a folder and still the same, else
    the facts alone.
    """
    live = _LIVE.get(description["identity"])
    if live is not None and module_folder.has_checkpoint(live.files):
        return live
    described = facts_alone(description, handle)
    if not os.path.isdir(handle):
        return described
    try:
        on_disk = read_tf1_spec(handle, handle, tags)
    except HubError:
        return described
    return on_disk if same_facts(on_disk, described, asked) else described


def facts_alone(description: dict[str, str], handle: str) -> ModuleSpec:
    """What a config tells of a module, without its graphs."""
    facts = _decode(description["facts"], Subject(handle))
    return ModuleSpec(module_folder.ModuleFiles(name=handle, saved_model=facts, facts_only=True))


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


def same_facts(one: ModuleSpec, other: ModuleSpec, asked: Asked) -> bool:
    """Whether two specs have the same variants, signatures, variables and inner tensors."""
    return _facts(one, asked) == _facts(other, asked)


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


def _facts(spec: ModuleSpec, asked: Asked) -> saved_model_pb2.SavedModel:
    facts = saved_model_pb2.SavedModel()
    for tags in spec.get_tags():
        variant = spec.variant(tags)
        meta_graph = facts.meta_graphs.add()
        meta_graph.meta_info_def.tags.extend(sorted(tags))
        for name in variant.signature_names:
            definition = meta_graph.signature_def[name]
            definition.CopyFrom(variant.meta_graph.signature_def[name])
            if name == asked.signature:
                _add_inner_tensors(definition, variant, asked)
        for collection in _COLLECTIONS:
            if collection in variant.published.collection_def:
                meta_graph.collection_def[collection].CopyFrom(
                    variant.published.collection_def[collection]
                )
        meta_graph.graph_def.node.extend(variant.nodes[v.node] for v in variant.variables)
    return facts


def _add_inner_tensors(
    definition: meta_graph_pb2.SignatureDef, variant: Variant, asked: Asked
) -> None:
    """Adds inner tensors to the outputs: without graphs, what is known of both is the same."""
    for key in asked.outputs:
        if key not in definition.outputs:
            # A variant that the layer does not run may lack it.
            with contextlib.suppress(HubError):
                giving = signature_giving(variant, asked.signature, [key])
                definition.outputs[key].CopyFrom(dense_info(giving.outputs[key]))
