"""What a URL is made of, and what none can be made of."""

from __future__ import annotations

import os
import re
import urllib.parse
import urllib.request
from contextlib import suppress

_LONGEST_LABEL, _LONGEST_HOST = 63, 253
_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_AFTER_PATH = re.compile(r"[?#]")


def scheme_of(handle: str) -> str:
    """The scheme before ``://``, in lower case; empty for a path.

    >>> scheme_of("GS://bucket/module"), scheme_of("/modules/a:b")
    ('gs', '')
    """
    scheme, separator, _ = handle.partition("://")
    return scheme.lower() if separator else ""


def file_path(path_or_url: str) -> str | None:
    """The path that a path or ``file://`` URL stands for; None for other URLs.

    >>> file_path("/modules/embed"), file_path("file:///modules/my%20embed")
    ('/modules/embed', '/modules/my embed')
    >>> file_path("gs://modules/embed")
    """
    scheme = scheme_of(path_or_url)
    if scheme != "file":
        return None if scheme else path_or_url
    # The host is of no account, and need not be one.
    rest = path_or_url.partition("://")[2]
    _, slash, path = _AFTER_PATH.split(rest, maxsplit=1)[0].partition("/")
    return urllib.request.url2pathname(slash + path)


def local_path(path_or_url: str | os.PathLike[str]) -> str | None:
    """The path that a path or ``file://`` URL stands for; None for other URLs.

    A ``~`` in front is the user's home.

    >>> local_path("/modules/embed"), local_path("file:///modules/my%20embed")
    ('/modules/embed', '/modules/my embed')
    >>> local_path("~/embed") == os.path.join(os.path.expanduser("~"), "embed")
    True
    >>> local_path("gs://modules/embed")
    """
    path = file_path(text := os.fsdecode(path_or_url))
    with suppress(ValueError):  # There is no user of such a name.
        return os.path.expanduser(text) if path == text else path
    return path


def host_of(url: str) -> str:
    """The host that a client takes a URL to have, in lower case; empty if there is none.

    >>> host_of("https://me:pass@Host.org:80/m"), host_of("http://[::1"), host_of("/m")
    ('host.org', '', '')
    """
    try:
        return urllib.parse.urlsplit(url).hostname or ""
    except ValueError:
        return ""


def flaw_of(url: str) -> str | None:
    """Why no server can be asked for a URL; None if nothing is wrong.

    What Python says of such URLs has parts of them in it, maybe of a password.

    >>> flaw_of("https://host/m"), flaw_of("https://a..b/m"), flaw_of("https://host:me/m")
    (None, 'its host has an empty or an overlong part', 'its port is no number up to 65535')
    """
    if flaw := flaw_of_text(url):
        return flaw
    host = host_of(url)
    if not host:
        return "it has no host"
    try:
        urllib.parse.urlsplit(url).port  # noqa: B018
    except ValueError:
        return "its port is no number up to 65535"
    labels = host.removesuffix(".").split(".")
    if not all(0 < len(label) <= _LONGEST_LABEL for label in labels) or len(host) > _LONGEST_HOST:
        return "its host has an empty or an overlong part"
    return None


def flaw_of_text(url: str) -> str | None:
    """What no URL has, of any scheme.

    >>> flaw_of_text("gs://bucket/m"), flaw_of_text("gs://bucket/m\\n")
    (None, 'it has control characters')
    """
    if _SURROGATE.search(url):
        return "it has halves of characters (lone surrogates)"
    return "it has control characters" if _CONTROL.search(url) else None


def with_query(url: str, name: str, value: str) -> str:
    """The URL with one more parameter; the rest of it stays as it was.

    >>> with_query("https://host/m", "a", "1"), with_query("https://host/m?b#f", "a", "1")
    ('https://host/m?a=1', 'https://host/m?b&a=1#f')
    """
    parts = urllib.parse.urlsplit(url)
    query = f"{parts.query}&" if parts.query else ""
    return urllib.parse.urlunsplit(parts._replace(query=f"{query}{name}={value}"))


def split_credentials(url: str) -> tuple[str, tuple[str, str] | None]:
    """The URL without its ``user:password@``, and the two.

    >>> split_credentials("https://me:p%40ss@host/m")
    ('https://host/m', ('me', 'p@ss'))
    >>> split_credentials("https://host/m")
    ('https://host/m', None)
    """
    parts = urllib.parse.urlsplit(url)
    info, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    user, _, password = info.partition(":")
    plain = urllib.parse.urlunsplit(parts._replace(netloc=host))
    return plain, (urllib.parse.unquote(user), urllib.parse.unquote(password))
