"""What a power cut may leave of a folder, at each point of what is done to it.

A model of a disk with a cache in front. Names are changed in the order in which they
were asked for, and a cut may come between any two; what is synced is there in any
case. Syncing a folder keeps what was done to its own names, and no more. Of a file
there are the bytes that were synced, or none.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path

# A folder's tree: path -> content, None for a folder.
Tree = dict[str, "bytes | None"]


def tree(folder) -> Tree:
    """What is in a folder now."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in Path(folder).rglob("*")
    }


def below(state: Tree, name: str) -> Tree | None:
    """The part of a tree that is in one of its folders; None if there is none."""
    if name not in state:
        return None
    return {
        path.removeprefix(f"{name}/"): content
        for path, content in state.items()
        if path.startswith(f"{name}/")
    }


def write(state: Tree, folder) -> None:
    """Makes a folder with what a power cut has left."""
    os.mkdir(folder)
    for path, content in sorted(state.items()):
        if content is None:
            (Path(folder) / path).mkdir()
        else:
            (Path(folder) / path).write_bytes(content)


@dataclass
class _Change:
    """Names that go and come in folders, at once."""

    gone: list[tuple[int, str]]
    come: list[tuple[int, str, int]]
    synced: bool = False


@dataclass
class Disk:
    """Watches a folder while something is done in it.

    Attributes:
        states: all that a power cut may have left until now, each once.
    """

    root: Path
    states: list[Tree] = field(default_factory=list)

    def __post_init__(self):
        self._names = {}  # path -> node
        self._by_inode = {}
        self._contents = {}  # node -> synced bytes of a file, None for a folder
        self._changes = []
        self._seen = set()
        self._notice()
        for change in self._changes:
            change.synced = True
        for path, node in self._names.items():
            if self._contents[node] is not None:
                self._contents[node] = path.read_bytes()
        self.states.clear()
        self._seen.clear()
        self._cut()

    # --- what is done ---

    def fsync(self, file, call):
        self._notice()
        call(file)
        node = self._by_inode.get(os.fstat(file).st_ino)
        if node is None:
            return
        if self._contents[node] is None:
            for change in self._changes:
                if node in [entry[0] for entry in (*change.gone, *change.come)]:
                    change.synced = True
        else:
            (path,) = [path for path, found in self._names.items() if found == node][:1]
            self._contents[node] = path.read_bytes()
        self._cut()

    def rename(self, source, target, call):
        self._notice()
        source, target = Path(source).absolute(), Path(target).absolute()
        moved = self._names.get(source)
        call(source, target)
        if moved is not None:
            at = self._names[target.parent]
            self._changes.append(
                _Change([(self._names[source.parent], source.name)], [(at, target.name, moved)])
            )
            self._names = {
                target / path.relative_to(source) if path.is_relative_to(source) else path: node
                for path, node in self._names.items()
                if not path.is_relative_to(target)
            }
            self._cut()
        self._notice()

    def other(self, *args, call, **kwargs):
        self._notice()
        try:
            return call(*args, **kwargs)
        finally:
            self._notice()

    # --- what becomes of it ---

    def _notice(self):
        """Takes down what was done since without being seen."""
        there = {}
        for path in (self.root, *sorted(self.root.rglob("*"))):
            with contextlib.suppress(FileNotFoundError):
                there[path] = (path.lstat().st_ino, path.is_dir())
        for path in sorted(set(self._names) - set(there), reverse=True):
            self._forget(path)
        for path, (inode, is_folder) in there.items():
            known = self._by_inode.get(inode)
            if path in self._names and self._names[path] == known:
                continue
            if path in self._names:
                self._forget(path)
            if known not in self._names.values():
                known = self._by_inode[inode] = len(self._contents)
                self._contents[known] = None if is_folder else b""
            self._names[path] = known
            if path != self.root:
                self._changes.append(_Change([], [(self._names[path.parent], path.name, known)]))
            self._cut()

    def _forget(self, path):
        del self._names[path]
        self._changes.append(_Change([(self._names[path.parent], path.name)], []))
        self._cut()

    def _cut(self):
        for until in range(len(self._changes) + 1):
            state = self._left(until)
            key = frozenset(state.items())
            if key not in self._seen:
                self._seen.add(key)
                self.states.append(state)

    def _left(self, until):
        folders = {}
        for number, change in enumerate(self._changes):
            if change.synced or number < until:
                for folder, name in change.gone:
                    folders.setdefault(folder, {}).pop(name, None)
                for folder, name, node in change.come:
                    folders.setdefault(folder, {})[name] = node
        state = {}

        def list_in(folder, path):
            for name, node in folders.get(folder, {}).items():
                state[f"{path}{name}"] = self._contents[node]
                if self._contents[node] is None:
                    list_in(node, f"{path}{name}/")

        list_in(self._names[self.root], "")
        return state


@contextlib.contextmanager
def watched(folder, monkeypatch):
    """A :class:`Disk` that sees what this process does in a folder."""
    disk = Disk(Path(folder).absolute())
    with monkeypatch.context() as patch:
        fsync = os.fsync
        patch.setattr(os, "fsync", lambda file: disk.fsync(file, fsync))
        for name in ("rename", "replace"):
            call = getattr(os, name)
            patch.setattr(os, name, lambda a, b, call=call: disk.rename(a, b, call))
        for name in ("link", "mkdir", "remove", "rmdir", "unlink"):
            call = getattr(os, name)
            patch.setattr(os, name, lambda *a, call=call, **k: disk.other(*a, call=call, **k))
        yield disk
        disk._notice()
