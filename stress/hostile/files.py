"""Changes of files, whatever is in them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from stress.hostile.victim import Victim

_SECRET = "secret"


def truncate(victim: Victim) -> None:
    file = victim.file()
    content = file.read_bytes()
    file.write_bytes(content[: victim.random.randrange(len(content) + 1)])


def flip_bits(victim: Victim) -> None:
    file = victim.file()
    content = bytearray(file.read_bytes() or b"\0")
    for _ in range(victim.random.choice([1, 1, 2, 8, 64])):
        content[victim.random.randrange(len(content))] ^= 1 << victim.random.randrange(8)
    file.write_bytes(content)


def overwrite(victim: Victim) -> None:
    """Random bytes, zeros, or nothing in place of a span."""
    file = victim.file()
    content = file.read_bytes()
    start = victim.random.randrange(len(content) + 1)
    end = min(len(content), start + victim.random.choice([1, 4, 16, 256]))
    span = victim.choose([victim.random.randbytes(end - start), bytes(end - start), b""])
    file.write_bytes(content[:start] + span + content[end:])


def repeat_span(victim: Victim) -> None:
    file = victim.file()
    content = file.read_bytes()
    start = victim.random.randrange(len(content) + 1)
    end = start + victim.random.choice([16, 1024, len(content)])
    file.write_bytes(content[:end] + content[start:])


def append(victim: Victim) -> None:
    with victim.file().open("ab") as stream:
        stream.write(victim.random.randbytes(victim.random.choice([1, 100])))


def exchange_files(victim: Victim) -> None:
    one, other = victim.file(), victim.file()
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def remove(victim: Victim) -> None:
    victim.file().unlink()


def into_folder(victim: Victim) -> None:
    file = victim.file()
    file.unlink()
    file.mkdir()


def into_pipe(victim: Victim) -> None:
    """A reader would wait for a writer that never comes."""
    file = victim.file()
    file.unlink()
    os.mkfifo(file)


def into_link(victim: Victim) -> None:
    file = victim.file()
    elsewhere = [
        victim.outside / _SECRET,
        Path(os.path.relpath(victim.outside / _SECRET, file.parent)),
        Path("/dev/zero"),
        Path("/dev/null"),
        Path("/nowhere"),
        file,  # to itself
        victim.folder,
    ]
    file.unlink()
    file.symlink_to(victim.choose(elsewhere))


def folder_into_link(victim: Victim) -> None:
    folder = victim.choose([path for path in sorted(victim.folder.iterdir()) if path.is_dir()])
    moved = victim.outside / folder.name
    if victim.random.random() < 0.5:
        shutil.rmtree(moved, ignore_errors=True)
        shutil.copytree(folder, moved)
    else:
        moved = Path("/proc/self")
    shutil.rmtree(folder)
    folder.symlink_to(moved)


def invalid_utf8(victim: Victim) -> None:
    """Breaks a string inside the message, with its length as it was."""
    text = victim.choose(
        [
            victim.node().name,
            victim.node().op,
            *victim.meta_graph().signature_def,
            *victim.meta_graph().collection_def,
        ]
    ).encode()
    if not text:
        return
    victim.write()
    broken = bytearray(text)
    broken[victim.random.randrange(len(broken))] = 0xFF
    file = victim.folder / "saved_model.pb"
    content = file.read_bytes()
    count = victim.choose([1, -1])
    file.write_bytes(content.replace(text, bytes(broken), count))
    victim.__dict__.pop("saved_model", None)


def wide_definition(victim: Victim) -> None:
    """A tfhub_module.pb that asks for much, or for a format that is none."""
    content = victim.choose(
        [b"", b"\x08\x03\x12\x01x", b"\x08\x04", b"\x08" + b"\xff" * 9 + b"\x01", b"\x12\x01\xff"]
    )
    (victim.folder / "tfhub_module.pb").write_bytes(content)


MUTATIONS = [
    truncate,
    flip_bits,
    overwrite,
    repeat_span,
    append,
    exchange_files,
    remove,
    into_folder,
    into_pipe,
    into_link,
    folder_into_link,
    invalid_utf8,
    wide_definition,
]
