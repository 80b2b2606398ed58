"""What is done to a URL before it is asked or shown."""

from __future__ import annotations

import re
import urllib.parse
import urllib.request

_USER_INFO = re.compile(r"(\w://)[^/?#\s]*@")
_SECRET_VALUE = re.compile(
    r"([?&][^=&#\s]*(?:token|key|secret|sig|passw|credential)[^=&#\s]*=)[^&#\s]+", re.IGNORECASE
)


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
    if scheme == "file":
        return urllib.request.url2pathname(urllib.parse.urlsplit(path_or_url).path)
    return None if scheme else path_or_url


def redact(text: str) -> str:
    """Hides user, password and tokens of the URLs in a text that people see.

    >>> redact("https://me:pass@host/m?version=1&api_key=123")
    'https://***@host/m?version=1&api_key=***'
    """
    return _SECRET_VALUE.sub(r"\1***", _USER_INFO.sub(r"\1***@", text))


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
