"""Whether a folder still is the whole of a module, judged without TensorFlow.

Operating systems clean temporary folders file by file, and copies break off. A
reader finds that out late and in its own words; the cache needs to know before.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import Any

from google.protobuf.message import DecodeError

from hub_keras_bridge.errors import FormatError, Subject
from hub_keras_bridge.files import paths
from hub_keras_bridge.files.checkpoint_table import Damaged, read_entries
from hub_keras_bridge.files.layout import (
    ASSETS_COLLECTION,
    ASSETS_FOLDER,
    MODULE_FILE,
    SAVED_MODEL_FILE,
    VARIABLES_PREFIX,
    ModuleDef,
    safe_asset_name,
)
from hub_keras_bridge.files.protos import Field, define

# The few fields of TensorFlow's messages that name other files. The graphs stay
# unparsed bytes, so this takes milliseconds.
_OUTLINE = define(
    "outline.proto",
    {
        "SavedModel": [Field("meta_graphs", 2, "MetaGraph", repeated=True)],
        "MetaGraph": [
            Field("info", 1, "MetaInfo"),
            Field("collections", 4, "CollectionEntry", repeated=True),
            Field("asset_files", 6, "AssetFile", repeated=True),
            Field("objects", 7, "bytes"),
        ],
        "MetaInfo": [Field("tags", 4, "string", repeated=True)],
        "CollectionEntry": [Field("key", 1, "string"), Field("value", 2, "Collection")],
        "Collection": [Field("bytes_list", 2, "BytesList"), Field("any_list", 5, "AnyList")],
        "BytesList": [Field("value", 1, "bytes", repeated=True)],
        "AnyList": [Field("value", 1, "Any", repeated=True)],
        "Any": [Field("value", 2, "bytes")],
        "AssetFile": [Field("filename", 2, "string")],
    },
    syntax="proto2",
)
_BUNDLE = define(
    "bundle.proto",
    {
        "Header": [Field("num_shards", 1, "int32")],
        "Entry": [
            Field("shard_id", 3, "int32"),
            Field("offset", 4, "int64"),
            Field("size", 5, "int64"),
        ],
    },
)


def fault(folder: str) -> str | None:
    """The first thing that a module lacks, or None if it is whole.

    A TF1 Hub module needs ``tfhub_module.pb``, ``saved_model.pb``, the assets
    that its graphs name and, if it has variables, a checkpoint: an index that is
    sound and all data files, as long as the index says. SavedModels, which caches
    hold as well, need the same but for ``tfhub_module.pb``; those of TensorFlow 1
    have tags for each graph, a module has a graph without. The graphs and the values
    of variables are not looked at; TensorFlow compares the checksum of each value
    that it reads.

    >>> import tempfile
    >>> fault(tempfile.mkdtemp())
    'saved_model.pb is missing'
    """
    try:
        return next(_faults(folder), None)
    except (OSError, DecodeError, FormatError) as error:
        return str(error).splitlines()[0]


def digest(folder: str) -> str:
    """A checksum of all files in a folder, their names and contents, in hex.

    Raises:
        OSError: one cannot be read.

    >>> import tempfile
    >>> digest(tempfile.mkdtemp())[:8]
    'e3b0c442'
    """
    names = sorted(name.replace(os.sep, "/") for name in paths.files_below(folder))
    lines = (f"{paths.sha256(os.path.join(folder, name))} {name}\n" for name in names)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _faults(folder: str) -> Iterator[str]:
    file = os.path.join(folder, SAVED_MODEL_FILE)
    if not paths.is_file(file):
        yield f"{SAVED_MODEL_FILE} is missing"
        return
    saved_model = _parsed(file, _OUTLINE["SavedModel"])
    if saved_model is None or not saved_model.meta_graphs:
        yield f"{SAVED_MODEL_FILE} is damaged"
        return
    graphs = saved_model.meta_graphs
    is_tf2 = any(meta_graph.HasField("objects") for meta_graph in graphs)
    definition = os.path.join(folder, MODULE_FILE)
    is_module = paths.is_file(definition) or not all(each.info.tags for each in graphs)
    if is_module and not is_tf2:
        yield from _faults_of_definition(definition)
    for meta_graph in graphs:
        for name in _asset_names(meta_graph):
            if not paths.is_file(os.path.join(folder, ASSETS_FOLDER, *name.split("/"))):
                yield f"{ASSETS_FOLDER}/{name} is missing"
    if is_tf2 or any(map(_has_variables, graphs)):
        yield from _faults_of_checkpoint(os.path.join(folder, VARIABLES_PREFIX))


def _faults_of_definition(file: str) -> Iterator[str]:
    if not paths.is_file(file):
        yield f"{MODULE_FILE} is missing"
        return
    module_def = _parsed(file, ModuleDef)
    if module_def is None or not module_def.format:
        yield f"{MODULE_FILE} is damaged"


def _faults_of_checkpoint(prefix: str) -> Iterator[str]:
    shown = VARIABLES_PREFIX.replace(os.sep, "/")
    if not paths.is_file(f"{prefix}.index") or not paths.size(f"{prefix}.index"):
        yield f"{shown}.index is missing or empty"
        return
    try:
        ends = _ends_of_shards(paths.read(f"{prefix}.index"))
    except (Damaged, DecodeError) as error:
        yield f"{shown}.index is damaged: {error}"
        return
    # Another checkpoint's shards may lie about.
    for name, end in sorted(ends.items()):
        if not paths.is_file(f"{prefix}.{name}"):
            yield f"{shown}.{name} is missing"
        elif (length := paths.size(f"{prefix}.{name}")) < end:
            yield f"{shown}.{name} is cut short: it has {length} bytes of {end}"


def _ends_of_shards(index: bytes) -> dict[str, int]:
    """How many bytes each data file has at least, by what its name ends in."""
    entries = dict(read_entries(index))
    header = _BUNDLE["Header"].FromString(entries.pop(b"", b""))
    ends: dict[str, int] = {}
    for content in entries.values():
        entry = _BUNDLE["Entry"].FromString(content)
        if entry.size:
            name = f"data-{entry.shard_id:05}-of-{header.num_shards:05}"
            ends[name] = max(ends.get(name, 0), entry.offset + entry.size)
    return ends


def _parsed(file: str, message_class: Any) -> Any:
    try:
        return message_class.FromString(paths.read(file))
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
