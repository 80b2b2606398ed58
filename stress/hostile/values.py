"""Changes of variables: in the graph, and in the checkpoint's index."""

from __future__ import annotations

from pathlib import Path

from tensorflow.core.protobuf import tensor_bundle_pb2

from stress.hostile.bundle import read_index, write_index
from stress.hostile.graphs import NUMBERS, change_shape
from stress.hostile.victim import NotApplicable, Victim

_DTYPES = [0, 1, 2, 3, 7, 9, 10, 14, 20, 21, 101, 999]


def shape_of_variable(victim: Victim) -> None:
    node = _variable(victim)
    change_shape(victim, node.attr["shape"].shape)


def dtype_of_variable(victim: Victim) -> None:
    _variable(victim).attr["dtype"].type = victim.choose(_DTYPES)


def name_of_variable(victim: Victim) -> None:
    _variable(victim).attr["shared_name"].s = victim.choose([b"", b"\xff", b"other", b"a b"])


def _variable(victim: Victim) -> object:
    return victim.node(lambda node: node.op in ("VarHandleOp", "VariableV2"))


def drop_entry(victim: Victim) -> None:
    entries = _entries(victim)
    del entries[_key(victim, entries)]
    write_index(_file(victim), entries)


def rename_entry(victim: Victim) -> None:
    entries = _entries(victim)
    name = victim.choose([b"other", b"\xff", b"a" * 1000, b"\0"])
    entries[name] = entries.pop(_key(victim, entries))
    write_index(_file(victim), entries)


def change_entry(victim: Victim) -> None:
    """Another place, size, shape or dtype than the data have."""
    entries = _entries(victim)
    key = _key(victim, entries)
    entry = tensor_bundle_pb2.BundleEntryProto()
    try:
        entry.ParseFromString(entries[key])
    except Exception as error:  # an entry that an earlier mutation broke
        raise NotApplicable from error
    match victim.random.randrange(8):
        case 0:
            entry.offset = victim.choose(NUMBERS)
        case 1:
            entry.size = victim.choose(NUMBERS)
        case 2:
            entry.dtype = victim.choose(_DTYPES)
        case 3:
            entry.shard_id = victim.choose([-1, 1, 2**31 - 1])
        case 4:
            entry.crc32c ^= 1
        case 5:
            # Shape and size that fit each other, and no file.
            del entry.shape.dim[:]
            entry.shape.dim.add(size=2**36)
            entry.size = 2**38
        case 6 if entry.slices:
            extent = victim.choose(victim.choose(entry.slices).extent)
            extent.start = victim.choose(NUMBERS)
        case 6:
            entry.slices.add().extent.add(start=0, length=victim.choose(NUMBERS))
        case _:
            change_shape(victim, entry.shape)
    entries[key] = entry.SerializeToString()
    write_index(_file(victim), entries)


def slices_of_entry(victim: Victim) -> None:
    """Slices of a partitioned variable that overlap, or leave a gap."""
    entries = _entries(victim)
    sliced = {
        key: entry
        for key, value in entries.items()
        if key and (entry := tensor_bundle_pb2.BundleEntryProto.FromString(value)).slices
    }
    key = victim.choose(sorted(sliced))
    entry = sliced[key]
    match victim.random.randrange(4):
        case 0:
            del entry.slices[victim.random.randrange(len(entry.slices))]
        case 1:
            entry.slices.add().CopyFrom(entry.slices[0])
        case 2:
            extent = entry.slices[-1].extent[0]
            extent.start = max(0, extent.start - 1)
        case _:
            entry.shape.dim[0].size += victim.choose([-1, 1, 2**40])
    entries[key] = entry.SerializeToString()
    write_index(_file(victim), entries)


def change_header(victim: Victim) -> None:
    entries = _entries(victim)
    header = tensor_bundle_pb2.BundleHeaderProto.FromString(entries.get(b"", b""))
    match victim.random.randrange(4):
        case 0:
            header.num_shards = victim.choose([-1, 0, 2, 2**31 - 1])
        case 1:
            header.endianness = 1
        case 2:
            header.version.min_consumer = 1000
        case _:
            entries.pop(b"", None)
            return write_index(_file(victim), entries)
    entries[b""] = header.SerializeToString()
    write_index(_file(victim), entries)


def garbage_entry(victim: Victim) -> None:
    entries = _entries(victim)
    entries[_key(victim, entries)] = victim.random.randbytes(20)
    write_index(_file(victim), entries)


def _file(victim: Victim) -> Path:
    return victim.folder / "variables" / "variables.index"


def _entries(victim: Victim) -> dict[bytes, bytes]:
    file = _file(victim)
    if not file.is_file():
        raise NotApplicable
    try:
        return read_index(file)
    except Exception as error:  # an index that an earlier mutation broke
        raise NotApplicable from error


def _key(victim: Victim, entries: dict[bytes, bytes]) -> bytes:
    return victim.choose(sorted(key for key in entries if key))


MUTATIONS = [
    shape_of_variable,
    dtype_of_variable,
    name_of_variable,
    drop_entry,
    rename_entry,
    change_entry,
    slices_of_entry,
    change_header,
    garbage_entry,
]
