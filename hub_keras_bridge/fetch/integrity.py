"""Whether a folder still is the whole of a module, judged without TensorFlow.

Operating systems clean temporary folders file by file, and copies break off. A
reader finds that out late and in its own words; the cache needs to know before.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

from google.protobuf.message import DecodeError

from hub_keras_bridge.errors import FormatError, Subject
from hub_keras_bridge.fetch import files
from hub_keras_bridge.layout import (
    ASSETS_COLLECTION,
    ASSETS_FOLDER,
    MODULE_FILE,
    SAVED_MODEL_FILE,
    VARIABLES_PREFIX,
    ModuleDef,
    safe_asset_name,
)
from hub_keras_bridge.messages import Field, define

# The few fields of TensorFlow's messages that name other files. The graphs stay
# unparsed bytes, so this takes milliseconds.
_OUTLINE = define(
    "outline.proto",
    {
        "SavedModel": [Field("meta_graphs", 2, "MetaGraph", repeated=True)],
        "MetaGraph": [
            Field("collections", 4, "CollectionEntry", repeated=True),
            Field("asset_files", 6, "AssetFile", repeated=True),
            Field("objects", 7, "bytes"),
        ],
        "CollectionEntry": [Field("key", 1, "string"), Field("value", 2, "Collection")],
        "Collection": [Field("bytes_list", 2, "BytesList"), Field("any_list", 5, "AnyList")],
        "BytesList": [Field("value", 1, "bytes", repeated=True)],
        "AnyList": [Field("value", 1, "Any", repeated=True)],
        "Any": [Field("value", 2, "bytes")],
        "AssetFile": [Field("filename", 2, "string")],
    },
    syntax="proto2",
)
_SHARD = re.compile(re.escape(os.path.basename(VARIABLES_PREFIX)) + r"\.data-\d{5}-of-\d{5}")


def fault(folder: str) -> str | None:
    """The first thing that a module lacks, or None if it is whole.

    A TF1 Hub module needs ``tfhub_module.pb``, ``saved_model.pb``, the assets
    that its graphs name, and all shards of its checkpoint if it has variables;
    a TF2 SavedModel, which caches hold as well, needs the same but for
    ``tfhub_module.pb``. The graphs and the values of variables are not looked at.

    >>> import tempfile
    >>> fault(tempfile.mkdtemp())
    'saved_model.pb is missing'
    """
    try:
        return next(_faults(folder), None)
    except (OSError, DecodeError, FormatError) as error:
        return str(error).splitlines()[0]


def _faults(folder: str) -> Iterator[str]:
    file = os.path.join(folder, SAVED_MODEL_FILE)
    if not files.is_file(file):
        yield f"{SAVED_MODEL_FILE} is missing"
        return
    saved_model = _parsed(file, _OUTLINE["SavedModel"])
    if saved_model is None or not saved_model.meta_graphs:
        yield f"{SAVED_MODEL_FILE} is damaged"
        return
    is_tf2 = any(meta_graph.HasField("objects") for meta_graph in saved_model.meta_graphs)
    if not is_tf2:
        yield from _faults_of_definition(os.path.join(folder, MODULE_FILE))
    for meta_graph in saved_model.meta_graphs:
        for name in _asset_names(meta_graph):
            if not files.is_file(os.path.join(folder, ASSETS_FOLDER, *name.split("/"))):
                yield f"{ASSETS_FOLDER}/{name} is missing"
    if is_tf2 or any(map(_has_variables, saved_model.meta_graphs)):
        yield from _faults_of_checkpoint(os.path.join(folder, VARIABLES_PREFIX))


def _faults_of_definition(file: str) -> Iterator[str]:
    if not files.is_file(file):
        yield f"{MODULE_FILE} is missing"
        return
    module_def = _parsed(file, ModuleDef)
    if module_def is None or not module_def.format:
        yield f"{MODULE_FILE} is damaged"


def _faults_of_checkpoint(prefix: str) -> Iterator[str]:
    shown = VARIABLES_PREFIX.replace(os.sep, "/")
    if not files.is_file(f"{prefix}.index") or not files.size(f"{prefix}.index"):
        yield f"{shown}.index is missing or empty"
        return
    names = files.names_in(os.path.dirname(prefix))
    there = {match.group() for match in map(_SHARD.fullmatch, names) if match}
    missing = []
    for count in sorted({name[-5:] for name in there}):
        shards = [f"{os.path.basename(prefix)}.data-{i:05}-of-{count}" for i in range(int(count))]
        missing.append(next((name for name in shards if name not in there), None))
    # Another checkpoint's shards may lie about; one complete set is enough.
    if None not in missing:
        first = missing[-1] if missing else f"{os.path.basename(prefix)}.data-*"
        yield f"{os.path.dirname(shown)}/{first} is missing"


def _parsed(file: str, message_class: Any) -> Any:
    try:
        return message_class.FromString(files.read(file))
    except DecodeError:
        return None


def _asset_names(meta_graph: Any) -> Iterator[str]:
    for entry in meta_graph.asset_files:
        yield safe_asset_name(entry.filename, Subject())
    for collection in meta_graph.collections:
        if collection.key == ASSETS_COLLECTION:
            for packed in collection.value.any_list.value:
                entry = _OUTLINE["AssetFile"].FromString(packed.value)
                yield safe_asset_name(entry.filename, Subject())


def _has_variables(meta_graph: Any) -> bool:
    return any(
        collection.key == "variables" and collection.value.bytes_list.value
        for collection in meta_graph.collections
    )
