"""What may be shown of a URL: all but its secrets."""

from __future__ import annotations

import re

HIDDEN = "***"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")

# What a parameter's name looks like; what is longer, or of other characters, may be a secret.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")

# Of the hosting protocol, and the same for everybody.
_HARMLESS = ("tf-hub-format=compressed", "tf-hub-format=uncompressed")

# What has a port and yet is neither a user with a password nor a part of one.
_HOST_AND_PORT = re.compile(r"(localhost|[0-9]+(\.[0-9]+){3}|\[[0-9A-Fa-f:.]+\]):[0-9]*")
_AFTER_HOST = re.compile(r"[/\\;?#]")
_AFTER_NAMES = re.compile(r"[;?#]")


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
