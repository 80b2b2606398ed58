"""From a handle to a local directory: a table of resolvers."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from hub_keras_bridge.errors import HandleError, Subject
from hub_keras_bridge.errors.redaction import redact
from hub_keras_bridge.errors.words import show_url
from hub_keras_bridge.files import paths
from hub_keras_bridge.files.fetch import cache_entries, hosting, kaggle, local, remote
from hub_keras_bridge.files.fetch.archived import checked_sha256, refuse_sha256
from hub_keras_bridge.files.fetch.foreign import redact_within
from hub_keras_bridge.files.urls import flaw_of_text, local_path, scheme_of

# Far more than a server takes in a URL, or an operating system in a path.
_LONGEST_HANDLE = 2**15


@dataclass(frozen=True)
class Resolver:
    """One kind of handle.

    Attributes:
        kind: how such handles look, for messages.
        takes: whether a handle is of this kind.
        find: handle, sha256 of the module's archive or None -> its folder.

    >>> only_files = Resolver(
    ...     kind="file://",
    ...     takes=lambda handle: handle.startswith("file://"),
    ...     find=lambda handle, sha256: handle.removeprefix("file://"),
    ... )
    >>> only_files.takes("file:///modules/embed"), only_files.find("file:///modules/embed", None)
    (True, '/modules/embed')
    """

    kind: str
    takes: Callable[[str], bool]
    find: Callable[[str, str | None], str]


def resolve(handle: str | os.PathLike[str], *, sha256: str | None = None) -> str:
    """The directory that a handle stands for, fetched if need be.

    - A folder, by its path or ``file://`` URL, is returned as it is.
    - A ``.tar``, ``.tar.gz`` or ``.tgz`` file, by either, is unpacked into the
      cache, where it is kept by its content.
    - ``https://`` and ``http://`` URLs are fetched into the cache by the hosting
      protocol.
    - On ``gs://`` and other file systems of TensorFlow's, a folder is read in
      place and an archive unpacked into the cache.
    - ``https://www.kaggle.com/models/...`` and ``owner/model/framework/variation``,
      with ``/version`` or the newest, are fetched by ``kagglehub`` (extra
      ``[kaggle]``); so are ``https://tfhub.dev/...`` URLs that redirect there.

    The cache is the old library's: the path or URL of ``TFHUB_CACHE_DIR`` or, in a
    program that ``absl.app.run`` starts, of ``--tfhub_cache_dir``, else
    ``tfhub_modules`` in the folder for temporary files. A module that is there and
    whole is used without a request. The same handle is kept once; what its URL
    serves later is not looked at. ``TFHUB_MODEL_LOAD_FORMAT=UNCOMPRESSED`` asks
    servers for a place on a remote file system, to read the module there;
    ``COMPRESSED`` copies remote folders into the cache.

    The first resolver in ``hub.RESOLVERS`` that takes a handle finds its module.
    To add one for another scheme:

    >>> import os, tempfile
    >>> import hub_keras_bridge as hub
    >>> shelf = tempfile.mkdtemp()
    >>> def find(handle, sha256):
    ...     return os.path.join(shelf, handle.removeprefix("shelf://"))
    >>> hub.RESOLVERS.insert(
    ...     0, hub.Resolver("shelf://", lambda handle: handle.startswith("shelf://"), find)
    ... )
    >>> hub.resolve("shelf://embed") == os.path.join(shelf, "embed")
    True
    >>> del hub.RESOLVERS[0]

    If such modules are archives, ``hub.cached_archive`` keeps them in the cache.

    Args:
        handle: see above. An existing path wins over a Kaggle handle of that name.
        sha256: of the module's archive, in hex. An archive with another one is
            refused. A cached module has the one that its archive had when it was
            fetched, as long as its files are those that were unpacked, which are
            all read for that. If it has another, or none that is known, as in caches
            of the old library, it is fetched again and stays until that has worked.

    Returns:
        A path; for a folder or cache on a remote file system, its URL.

    Raises:
        HandleError: the handle leads nowhere, or no resolver takes it.
        DownloadError: the module could not be fetched.
        FormatError: what was fetched is no whole module.
        ArchiveError: its archive is refused, or has another checksum.
        CacheError: the cache cannot be used or written, or the module in it is
            another user's.
    """
    text = _text_of(handle)
    subject = Subject(redact(text))
    sha256 = checked_sha256(sha256, subject)
    return _resolver_for(text, subject).find(text, sha256)


def _resolver_for(text: str, subject: Subject) -> Resolver:
    for resolver in RESOLVERS:
        if resolver.takes(text):
            return resolver
    raise HandleError(
        "Cannot resolve the handle of a TF1 Hub module.",
        subject,
        expected="one of " + ", ".join(resolver.kind for resolver in RESOLVERS),
        found=f"a handle of scheme {scheme_of(redact(text))!r}; TensorFlow's file systems are "
        + ", ".join(f"{scheme}://" for scheme in paths.schemes()),
        advice="download and unpack the module, then pass its folder; or add a Resolver to "
        "hub_keras_bridge.RESOLVERS",
    )


def _text_of(handle: str | os.PathLike[str]) -> str:
    """A handle as text, if it can be one at all.

    Raises:
        HandleError: it cannot.
    """
    if not isinstance(handle, str | os.PathLike):
        raise HandleError(
            "Cannot resolve the handle of a TF1 Hub module.",
            expected="a path or URL (str or os.PathLike)",
            found=f"{type(handle).__name__}: {show_url(redact_within(repr(handle)))}",
            advice="pass the path of the module's folder",
        )
    text = os.fsdecode(handle)
    flaw = flaw_of_text(text) if scheme_of(text) else None
    if not text:
        flaw = "it is empty"
    if len(text) > _LONGEST_HANDLE:
        flaw = f"it has {len(text)} characters"
    if flaw:
        raise HandleError(
            "Invalid handle of a TF1 Hub module.",
            Subject(show_url(text)),
            expected=f"a path or URL of at most {_LONGEST_HANDLE} characters, none of them a "
            "control character",
            found=flaw,
            advice="check the handle",
        )
    return text


def check_handle(handle: str) -> None:
    """Checks what a local handle leads to; takes no time and imports no TensorFlow.

    Raises:
        HandleError: no resolver takes it, or it leads to nothing, to a part of a module
            or to a Keras model.
    """
    handle = _text_of(handle)
    subject = Subject(redact(handle))
    _resolver_for(handle, subject)
    path = local_path(handle)
    if path is not None and not _is_kaggle(handle):
        local.require_module(path, handle)


def _is_kaggle(handle: str) -> bool:
    is_path = not scheme_of(handle) and os.path.lexists(handle)
    return not is_path and (kaggle.is_page(handle) or kaggle.kaggle_handle(handle) is not None)


def _find_on_kaggle(handle: str, sha256: str | None) -> str:
    subject = Subject(redact(handle))
    refuse_sha256(sha256, subject, "a model of Kaggle's")
    # The old library kept modules by the URLs of their pages.
    return cache_entries.lookup(handle) or kaggle.download(handle, subject)


def _is_hosted(handle: str) -> bool:
    return scheme_of(handle) in ("http", "https")


RESOLVERS: list[Resolver] = [
    Resolver("owner/model/framework/variation of Kaggle's", _is_kaggle, _find_on_kaggle),
    Resolver("a path or file://", local.is_local, local.find),
    Resolver("https://, http://", _is_hosted, hosting.find),
    Resolver("gs:// and other file systems of TensorFlow's", remote.is_remote, remote.find),
]
