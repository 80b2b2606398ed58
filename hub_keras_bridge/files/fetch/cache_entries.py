"""What is in the cache, and where: looked at here, changed by ``cache``.

The layout is the old library's: in the cache's folder, a module lies at the SHA-1 of
its handle in hex, beside a descriptor for people (``<sha1>.descriptor.txt``).
"""

from __future__ import annotations

import datetime
import hashlib
import os
import re
from dataclasses import dataclass

from absl import logging

from hub_keras_bridge.errors import CacheError, Subject
from hub_keras_bridge.errors.redaction import redact
from hub_keras_bridge.errors.words import legible
from hub_keras_bridge.files import paths
from hub_keras_bridge.files.fetch import integrity, ownership
from hub_keras_bridge.files.fetch.cache_directory import VARIABLE, directory

_MODULE = re.compile(r"[0-9a-f]{40}")
# What is read where a module is loaded, and not where the cache is looked over.
_USED = re.compile(r"variables/variables\.data-.*|assets/.*")


@dataclass(frozen=True)
class Entry:
    """A module's place in the cache, filled or not.

    Attributes:
        path: where its folder is, or will be.
    """

    path: str

    @property
    def is_remote(self) -> bool:
        """Whether it is on none of this machine's disks."""
        return paths.is_remote(self.path)

    @property
    def exists(self) -> bool:
        """Whether there is a folder, whole or broken."""
        return paths.is_folder(self.path)

    @property
    def fault(self) -> str | None:
        """What its folder lacks, or whose else it is; None if the module is whole."""
        stranger = self.stranger
        return f"it is of {stranger}" if stranger else integrity.fault(self.path)

    @property
    def stranger(self) -> str | None:
        """Whose else its files are, if somebody's; see ``ownership``."""
        if self.is_remote:
            return None
        return ownership.stranger_in(self.path) or ownership.stranger_in(self.descriptor)

    @property
    def handle(self) -> str | None:
        """The handle it was fetched by, without passwords, if somebody noted it."""
        noted = self._noted("Module")
        # The old library noted passwords, too.
        return None if noted is None else legible(redact(noted))

    @property
    def sha256(self) -> str | None:
        """That of the archive it was unpacked from, if it was noted."""
        return self._noted("SHA256")

    @property
    def fetched(self) -> datetime.datetime:
        """When it was fetched, in local time."""
        try:
            noted = datetime.datetime.fromisoformat(self._noted("Download Time") or "")
        except ValueError:
            return datetime.datetime.fromtimestamp(paths.changed(self.path))
        return noted.replace(tzinfo=None)

    @property
    def used(self) -> datetime.datetime | None:
        """When its values or assets were last read, in local time, as far as the disk notes it.

        Most file systems note it once a day. None if there are none, or on a remote one.
        """
        if self.is_remote:
            return None
        names = [name for name in paths.files_below(self.path) if _USED.fullmatch(name)]
        read = [os.stat(os.path.join(self.path, name)).st_atime for name in names]
        return datetime.datetime.fromtimestamp(max(read)) if read else None

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        names = paths.files_below(self.path)
        return sum(paths.size(os.path.join(self.path, name)) for name in names)

    @property
    def descriptor(self) -> str:
        """The file that says what lies in ``path``."""
        return f"{self.path}.descriptor.txt"

    @property
    def digest(self) -> str | None:
        """That of its files when they were fetched, if it was noted."""
        return self._noted("Files SHA256")

    @property
    def is_changed(self) -> bool:
        """Whether its files are others than were fetched; all are read for that."""
        return self.digest not in (None, integrity.digest(self.path))

    def serves(self, sha256: str | None) -> bool:
        """Whether it is whole, and came from the archive with a checksum, if one is asked for.

        Raises:
            CacheError: it is another user's.
        """
        if not self.is_remote:
            _warn_of_others(self.path)
        if not self.exists:
            return False
        self._require_own()
        is_whole = integrity.fault(self.path) is None
        return is_whole and (sha256 is None or self.mismatch(sha256) is None)

    def mismatch(self, sha256: str) -> str | None:
        """Why it cannot pass for what an archive holds; None if it is just that.

        What is asked for is the archive, so that it is not enough that it had this
        checksum once: the files are compared with those that were unpacked.
        """
        if self.sha256 is None:
            return "whose archive's is not known"
        if self.sha256 != sha256:
            return f"whose archive had sha256 {self.sha256}"
        if self.digest is None:
            return "the checksum of whose files is not known"
        return "whose files are not those that were unpacked" if self.is_changed else None

    def _require_own(self) -> None:
        stranger = self.stranger
        if stranger is None:
            return
        raise CacheError(
            "Refused a cached TF1 Hub module: it is another user's.",
            Subject(self.handle),
            expected=f"files of user {os.geteuid()}, who runs this process, or of root",
            found=f"some of {stranger}",
            advice=f"a module is a program: if you trust that user with what you run, name them "
            f"in {ownership.VARIABLE}; else point {VARIABLE} to a folder of your own",
        )

    def _noted(self, label: str) -> str | None:
        try:
            text = paths.read(self.descriptor).decode("utf-8", "replace")
        except OSError:
            return None
        lines = [line.partition(": ") for line in text.splitlines()]
        return next((value for found, _, value in lines if found == label), None)


def entry_of(handle: str) -> Entry:
    """The place of a handle's module.

    Raises:
        CacheError: as in ``directory``.

    >>> import os
    >>> os.path.basename(entry_of("https://tfhub.dev/google/elmo/2").path)
    '9bb74bc86f9caffc8c47dd7b33ec4bb354d9602d'
    """
    cache = directory(Subject(redact(handle)))
    return Entry(
        os.path.join(cache, hashlib.sha1(handle.encode("utf-8", "surrogatepass")).hexdigest())
    )


def entries() -> list[Entry]:
    """All modules in the cache, whole or broken, the latest fetched last."""
    cache = directory()
    names = paths.names_in(cache)
    found = [Entry(os.path.join(cache, name)) for name in names if _MODULE.fullmatch(name)]
    return sorted((entry for entry in found if entry.exists), key=lambda entry: entry.fetched)


def entries_named(name: str) -> list[Entry]:
    """The modules in the cache that a handle leads to, or that are listed by it.

    Args:
        name: a handle, as it was given or as it is listed, or a module's folder.

    Raises:
        CacheError: as in ``directory``.
    """
    place, shown = entry_of(name), legible(redact(name))
    return [e for e in entries() if e == place or e.handle == shown or e.path == name]


def lookup(handle: str, sha256: str | None = None) -> str | None:
    """The folder of a module that is there and whole, else None.

    Args:
        handle: as the user gave it.
        sha256: what its archive must have had; None for any.
    """
    entry = entry_of(handle)
    return entry.path if entry.serves(sha256) else None


_TOLD: set[str] = set()


def _warn_of_others(path: str) -> None:
    """Says, once, who else may put modules into the cache."""
    others = ownership.who_may_replace(path)
    if others is None or others in _TOLD:
        return
    _TOLD.add(others)
    logging.warning(
        "The cache of TF1 Hub modules in %s may be changed by %s. A module is a program: only "
        "those that belong to you or root are taken, yet who may write there can exchange "
        "them. Take the right from others (chmod go-w), or point %s to another folder.",
        os.path.dirname(path),
        others,
        VARIABLE,
    )
