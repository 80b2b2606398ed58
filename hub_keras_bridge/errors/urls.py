"""What is done to a URL before it is asked or shown."""

from __future__ import annotations

import re
import urllib.parse
import urllib.request

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
HIDDEN = "***"

# What a parameter's name looks like; what is longer, or of other characters, may be a secret.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")

# Of the hosting protocol, and the same for everybody.
_HARMLESS = ("tf-hub-format=compressed", "tf-hub-format=uncompressed")

# What has a port and yet is neither a user with a password nor a part of one.
_HOST_AND_PORT = re.compile(r"(localhost|[0-9]+(\.[0-9]+){3}|\[[0-9A-Fa-f:.]+\]):[0-9]*")
_LONGEST_LABEL, _LONGEST_HOST = 63, 253
_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_AFTER_HOST = re.compile(r"[/\\;?#]")
_AFTER_NAMES = re.compile(r"[;?#]")
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


def redact(handle: str) -> str:
    """A URL without what may be secret, for people to recognise; a path as it is.

    Whatever its name, the value of each parameter is hidden (``?a=b``, ``;a=b``,
    ``#a=b``), and so is what has no name. So is all before the ``@`` that ends user and
    password, in which there may be any character that somebody forgot to escape. Where
    it cannot be told which ``@`` that is, everything is hidden.

    >>> redact("https://me:pa/ss@host/m?v=1&api_key=123#top")
    'https://***@host/m?v=***&api_key=***#***'
    >>> redact("https://host/m;v=1?by=me@home&tf-hub-format=compressed")
    'https://host/m;v=***?by=***&tf-hub-format=compressed'
    >>> redact("https://me:12/3?by=4@host/m"), redact("/models/a@b?c=d")
    ('https://***', '/models/a@b?c=d')
    """
    scheme, separator, rest = handle.partition("://")
    if not separator:
        return handle
    return f"{scheme if _SCHEME.fullmatch(scheme) else HIDDEN}://{_redacted(rest)}"


def redact_path(path: str) -> str:
    """As :func:`redact`, also for what is no URL, but may have been meant to be one.

    To be used where nothing is at the path: there may be such a file.

    >>> redact_path("https:/me:pass@host/m?token=1"), redact_path("/models/a@b")
    ('***@host/m?token=***', '/models/a@b')
    """
    if "://" in path:
        return redact(path)
    return _redacted(path) if ":" in path.rpartition("@")[0] else _without_values(path)


def _redacted(rest: str) -> str:
    """What is behind ``://``, without secrets."""
    end = _end_of_user_info(rest)
    if end is None:
        return HIDDEN
    return f"{HIDDEN}@{_without_values(rest[end:])}" if end else _without_values(rest)


def _end_of_user_info(rest: str) -> int | None:
    """Where the host begins behind ``://``; None if that cannot be told."""
    named = _AFTER_NAMES.split(rest, maxsplit=1)[0]
    end = named.rfind("@") + 1
    authority = _AFTER_HOST.split(named, maxsplit=1)[0]
    if "@" in rest[len(named) :]:
        port = authority.partition(":")[2]
        # A token, which comes without a colon, has none of these marks in it.
        is_host = ":" not in authority or _HOST_AND_PORT.fullmatch(authority)
        if is_host and not end and "/" in named:
            return 0
        is_password = port.strip("0123456789") and rest.count("@") == 1
        return rest.find("@") + 1 if is_password else None
    # No host has an escaped @.
    escaped = authority.rfind("%40")
    return end if end or escaped < 0 else escaped + 3


def _without_values(rest: str) -> str:
    """Host, path, parameters' names and hidden values."""
    rest, fragment_mark, fragment = rest.partition("#")
    rest, query_mark, query = rest.partition("?")
    # The value may hold a slash that nobody escaped.
    path, parameter_mark, parameters = rest.partition(";")
    return "".join(
        (
            path,
            parameter_mark,
            _hide(parameters, ";"),
            query_mark,
            _hide(query, "&"),
            fragment_mark,
            _hide(fragment, "&"),
        )
    )


def _hide(parameters: str, separator: str) -> str:
    return separator.join(map(_hide_one, parameters.split(separator)))


def _hide_one(parameter: str) -> str:
    name, _, value = parameter.partition("=")
    if not parameter or parameter in _HARMLESS:
        return parameter
    # Some tokens end with equals signs.
    has_name = value.strip("=") and _NAME.fullmatch(name)
    return f"{name}={HIDDEN}" if has_name else HIDDEN


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
