"""What other libraries say of a URL, in errors and logs: told without its secrets."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from hub_keras_bridge.errors.redaction import HIDDEN, redact, redact_path
from hub_keras_bridge.errors.words import legible
from hub_keras_bridge.files.urls import host_of

_WORDS = re.compile(r"(\s+)")
_ODD_SPACE = re.compile(r"[^ \n]")
_QUOTES = "'\"()<>[]{},.:;"
_SCHEME_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+.-"

# Those of urllib3 that write what is asked for, at level DEBUG as a rule.
_LOGGERS = ("connection", "connectionpool", "poolmanager", "response", "util.retry")


class ForeignError(Exception):
    """Stands, as a cause, for an error of another library.

    That one has URLs in its text and its attributes, where they would come to light
    in a traceback; this one has its kind, its text without their secrets, and where
    it was raised.
    """


def stand_in(error: BaseException, *urls: str) -> ForeignError:
    """What can be told of an error as a cause.

    To be raised ``from`` outside of the ``except`` block, which would keep the error
    itself as the context.

    Args:
        error: of another library.
        urls: what it may be about.

    >>> stand_in(OSError("no route to https://host/m?token=1"))
    ForeignError('OSError: no route to https://host/m?token=***')
    """
    text = redact_within(str(error), *urls)
    kind = type(error)
    name = kind.__qualname__
    if kind.__module__ != "builtins":
        name = f"{kind.__module__}.{name}"
    return ForeignError(f"{name}: {text}").with_traceback(error.__traceback__)


def redact_within(text: str, *urls: str) -> str:
    """A text that somebody else wrote, with the secrets of URLs in it hidden.

    A URL is taken to go on up to the next space. The requests of a log have but a
    path and a query.

    Args:
        text: what was written.
        urls: those it may be about, which are found whatever they are made of.

    >>> redact_within('http://host:80 "GET /m?token=1 HTTP/1.1" 404 (see http://u:p@host/x?y.)')
    'http://host:80 "GET /m?token=*** HTTP/1.1" 404 (see http://***@host/x?***.)'
    """
    for url in urls:
        shown = redact(url)
        if host_of(url) != host_of(shown):
            # Half a password passes for the host or the path, and may be in any text.
            return HIDDEN
        text = text.replace(url, shown)
    return "".join(map(_shown_word, _WORDS.split(text)))


def _shown_word(word: str) -> str:
    return _ODD_SPACE.sub(" ", word) if word.isspace() else legible(_redact_word(word))


def _redact_word(word: str) -> str:
    head, separator, _ = word.partition("://")
    if not (separator or "?" in word or "@" in word or word.strip(_QUOTES).startswith("/")):
        return word
    before = head.rstrip(_SCHEME_CHARACTERS) if separator else word[: -len(word.lstrip(_QUOTES))]
    url = word[len(before) :]
    bare = url.rstrip(_QUOTES)
    return f"{before}{redact_path(bare)}{url[len(bare) :]}"


@contextmanager
def hidden_in_logs(*urls: str) -> Iterator[None]:
    """Hides the secrets of URLs in what urllib3 logs for this thread meanwhile."""
    token = _KNOWN.set(urls)
    try:
        yield
    finally:
        _KNOWN.reset(token)


_KNOWN: ContextVar[tuple[str, ...] | None] = ContextVar("known", default=None)


class _WithoutSecrets(logging.Filter):
    """Lets all pass; what others ask for with urllib3 is none of its business."""

    def filter(self, record: logging.LogRecord) -> bool:
        known = _KNOWN.get()
        if known is not None:
            record.msg, record.args = redact_within(record.getMessage(), *known), None
            record.exc_info = record.exc_text = None
        return True


def _watch_logs() -> None:
    for name in _LOGGERS:
        logging.getLogger(f"urllib3.{name}").addFilter(_WithoutSecrets())


_watch_logs()
