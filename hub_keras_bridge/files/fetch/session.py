"""Asking servers: redirects within rules, and what is said where no answer comes."""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Callable
from contextlib import suppress

import requests
import urllib3

from hub_keras_bridge.errors import DownloadError, HubError, Subject
from hub_keras_bridge.errors.redaction import redact
from hub_keras_bridge.errors.words import show_url
from hub_keras_bridge.files.fetch.causes import known_urls, reason
from hub_keras_bridge.files.fetch.foreign import stand_in
from hub_keras_bridge.files.fetch.retrying import RetryingAdapter
from hub_keras_bridge.files.urls import flaw_of, host_of
from hub_keras_bridge.version import VERSION

# Seconds without a connection, and without a byte, until a try is given up.
TIMEOUTS = (10.0, 60.0)
MAX_REDIRECTS = 10
_CERTIFICATES_VARIABLE = "TFHUB_DISABLE_CERT_VALIDATION"

# tfhub.dev, and the hosts of its mirror.
_TFHUB = ("tfhub.dev", ".tensorflow.google.cn")
WHERE_TFHUB_WENT = (
    "tfhub.dev's models are on kaggle.com/models now, where a handle looks like "
    "google/nnlm/tensorFlow1/en-dim128/1"
)


class Session(requests.Session):
    """Follows redirects as requests does, within the rules of ``download``."""

    def __init__(self, stop_at: Callable[[str], bool], subject: Subject) -> None:
        super().__init__()
        self._stop_at = stop_at
        self._subject = subject
        self.max_redirects = MAX_REDIRECTS
        # A body as it lies on the server: its length and checksum are known there.
        self.headers.update(
            {"User-Agent": f"hub_keras_bridge/{VERSION}", "Accept-Encoding": "identity"}
        )
        for scheme in ("https://", "http://"):
            self.mount(scheme, RetryingAdapter())

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """The URL to go on to, if any; called by requests for each answer."""
        target = self.redirected_to(resp)
        if target is None or self._stop_at(target):
            return None
        if flaw := flaw_of(target):
            raise self._refused(
                resp, "leads to no URL", target, "https://host/path", f"{flaw}; check the handle"
            )
        if resp.url.startswith("https:") and not target.startswith("https:"):
            raise self._refused(
                resp,
                "leaves https",
                target,
                "https:// all the way",
                "if you trust the network between, pass the second URL as the handle",
            )
        return target

    def redirected_to(self, response: requests.Response) -> str | None:
        """The absolute URL that an answer points to, or None."""
        # Text of HTTP's header is Latin-1, but for the UTF-8 of those who know no better.
        named = response.headers.get("location") if response.is_redirect else None
        if named is None:
            return None
        with suppress(UnicodeError):
            named = named.encode("latin-1").decode("utf-8")
        try:
            return urllib.parse.urljoin(response.url, named)
        except ValueError:
            return named

    def _refused(
        self, response: requests.Response, how: str, target: str, expected: str, advice: str
    ) -> DownloadError:
        return DownloadError(
            f"Refused to download a TF1 Hub module: a redirect {how}.",
            self._subject,
            expected=expected,
            found=f"{show_url(response.url)} redirects to {show_url(target)}",
            advice=advice,
        )


def answer(
    session: requests.Session, url: str, auth: tuple[str, str] | None, subject: Subject
) -> requests.Response:
    """The head of the final answer; its body is still to come.

    Raises:
        DownloadError: there is none.
    """
    check = os.environ.get(_CERTIFICATES_VARIABLE, "").lower() != "true"
    try:
        # None leaves the choice of certificates to requests and its variables.
        return session.get(
            url, auth=auth, verify=None if check else False, stream=True, timeout=TIMEOUTS
        )
    except HubError:
        raise
    # requests lets through some of urllib3, of sockets and of codecs.
    except (OSError, ValueError, urllib3.exceptions.HTTPError) as error:
        problem, cause = (
            _explained(error, url, subject),
            stand_in(error, *known_urls(url, _asked(error, url))),
        )
    raise problem from cause


def _asked(error: Exception, url: str) -> str:
    """What was asked for in the end, maybe after redirects."""
    asked = getattr(error, "response", None)
    asked = getattr(error, "request", None) if asked is None else asked
    return str(getattr(asked, "url", None) or url)


def _explained(error: Exception, url: str, subject: Subject) -> DownloadError:
    asked = _asked(error, url)
    problem = "Cannot download a TF1 Hub module: there is no answer."
    found = reason(error, url, asked)
    advice = (
        "check the network and the variables HTTP_PROXY, HTTPS_PROXY and NO_PROXY; offline, pass "
        "the module's folder or archive instead"
    )
    if isinstance(error, requests.TooManyRedirects):
        problem = "Cannot download a TF1 Hub module: redirects go on and on."
        found = f"more than {MAX_REDIRECTS} redirects"
        advice = "check the handle; if it is right, the server is set up wrong"
    elif isinstance(error, requests.exceptions.SSLError):
        problem = "Cannot download a TF1 Hub module: the connection is not to be trusted."
        advice = (
            "point REQUESTS_CA_BUNDLE to a file with the certificate of your network's authority; "
            f"{_CERTIFICATES_VARIABLE}=true accepts any certificate, an attacker's too"
        )
    if host_of(redact(asked)).endswith(_TFHUB):
        advice += f"; {WHERE_TFHUB_WENT}"
    return DownloadError(
        problem, subject, expected=f"an answer from {show_url(asked)}", found=found, advice=advice
    )
