"""Why the network did not bring what was asked for: the first cause, without secrets."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator

from hub_keras_bridge.files.fetch.foreign import redact_within


def reason(error: BaseException, *urls: str) -> str:
    """The first cause, which names the trouble; the errors around it repeat the URL."""
    *_, first = causes_of(error)
    # Which object of urllib3 met it tells nobody anything.
    text = re.sub(r"^<?HTTPS?Connection[^:]*: ", "", str(first))
    return redact_within(text, *known_urls(*urls)) or type(first).__name__


def known_urls(*urls: str) -> list[str]:
    """What errors and logs may be about: the proxies, too, which may have passwords."""
    proxies = urllib.request.getproxies().values()
    return [*urls, *(proxy if "://" in proxy else f"http://{proxy}" for proxy in proxies)]


def causes_of(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it wraps, from the outside in."""
    while error is not None:
        yield error
        inner = (getattr(error, "reason", None), *error.args)
        error = next((e for e in inner if isinstance(e, BaseException)), None)
