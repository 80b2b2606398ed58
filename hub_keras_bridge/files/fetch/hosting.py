"""Modules at http:// and https:// URLs, by TF1 Hub's hosting protocol.

A GET of the handle with ``tf-hub-format=compressed`` in its query is answered,
possibly after redirects, by an archive whose root is the module's folder. With
``TFHUB_MODEL_LOAD_FORMAT=UNCOMPRESSED`` the query asks where the module lies
unpacked instead, and it is read there. ``hub.tensorflow.google.cn``, the mirror
of tfhub.dev, was not asked for archives: they had URLs of their own.
"""

from __future__ import annotations

import shutil
import urllib.parse

from hub_keras_bridge.errors import DownloadError, Subject
from hub_keras_bridge.errors.redaction import redact
from hub_keras_bridge.errors.words import show_url
from hub_keras_bridge.files import paths
from hub_keras_bridge.files.fetch import cache, cache_entries, kaggle, remote
from hub_keras_bridge.files.fetch.archived import refuse_sha256, unpacked
from hub_keras_bridge.files.fetch.download import checked_url, download, location
from hub_keras_bridge.files.urls import with_query

_PARAMETER = "tf-hub-format"
_MIRROR = "hub.tensorflow.google.cn"
_ARCHIVES_OF_THE_MIRROR = "gcs.tensorflow.google.cn"


def find(handle: str, sha256: str | None = None) -> str:
    """The folder of a module in the cache, fetched if it is not there.

    A redirect to a page of kaggle.com/models, such as those of tfhub.dev, is
    followed by ``kagglehub``; the cache then keeps a copy by the old handle.

    Raises:
        HandleError: ``kagglehub`` is needed and not there.
        DownloadError: the handle is no URL, or the module could not be fetched.
        FormatError: what came is no whole module.
        ArchiveError: the archive is refused, or has another checksum.
        CacheError: the cache cannot be written, or its copy is broken and could
            not be fetched again.
    """
    subject = Subject(redact(handle))
    checked_url(handle, subject)
    if remote.load_format() == "UNCOMPRESSED":
        return cache_entries.lookup(handle, sha256) or _find_uncompressed(handle, sha256, subject)

    def fill(folder: str) -> cache.Receipt:
        file = f"{folder}.archive"
        url = download(archive_url(handle), file, subject, stop_at=kaggle.is_page)
        if not kaggle.is_page(url):
            return unpacked(file, folder, handle, sha256, origin=url)
        refuse_sha256(sha256, subject, f"a redirect to {show_url(url)}")
        shutil.copytree(kaggle.download(url, subject), folder, dirs_exist_ok=True)
        return cache.Receipt(url)

    return cache.obtain(handle, fill, sha256=sha256)


def archive_url(handle: str) -> str:
    """What to ask for the archive of a module.

    >>> archive_url("https://tfhub.dev/google/elmo/3")
    'https://tfhub.dev/google/elmo/3?tf-hub-format=compressed'
    >>> archive_url("https://hub.tensorflow.google.cn/google/elmo/3")
    'https://gcs.tensorflow.google.cn/tfhub-modules/google/elmo/3.tar.gz'
    """
    parts = urllib.parse.urlsplit(handle)
    if parts.netloc != _MIRROR:
        return with_query(handle, _PARAMETER, "compressed")
    path = f"/tfhub-modules{parts.path.rstrip('/')}.tar.gz"
    return urllib.parse.urlunsplit((parts.scheme, _ARCHIVES_OF_THE_MIRROR, path, "", ""))


def _find_uncompressed(handle: str, sha256: str | None, subject: Subject) -> str:
    place = location(with_query(handle, _PARAMETER, "uncompressed"), subject)
    # The server's word does not open files of this machine.
    if remote.is_remote(place):
        return remote.find(place, sha256)
    raise DownloadError(
        "Cannot read a TF1 Hub module where its server says it lies.",
        subject,
        expected=f"a URL of one of the schemes {', '.join(paths.schemes())}",
        found=show_url(place),
        advice="unset TFHUB_MODEL_LOAD_FORMAT, to fetch the module as an archive",
    )
