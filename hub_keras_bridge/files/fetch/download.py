"""One file by HTTP: with retries, in full, and told plainly where it fails."""

from __future__ import annotations

import os
import re
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import requests
import urllib3
from absl import logging
from requests.adapters import HTTPAdapter

from hub_keras_bridge.errors import DownloadError, HubError, Subject
from hub_keras_bridge.errors.redaction import redact
from hub_keras_bridge.errors.words import legible, show_url
from hub_keras_bridge.files.fetch.foreign import hidden_in_logs, redact_within, stand_in
from hub_keras_bridge.files.progress import download_bar
from hub_keras_bridge.files.urls import flaw_of, host_of, split_credentials
from hub_keras_bridge.version import VERSION

# Seconds without a connection, and without a byte, until a try is given up.
TIMEOUTS = (10.0, 60.0)

# The first retry is made at once, the others after one, two, four, eight times
# this many seconds, or when the server says, but not later than the longest wait.
RETRIES = 5
BACKOFF = 0.5
FEW_RETRIES = 1
LONGEST_WAIT = 60.0
_PASSING_STATUS = (429, 500, 502, 503, 504)

MAX_REDIRECTS = 10
_CHUNK = 2**16
_LONGEST_NAME = 60

# tfhub.dev, and the hosts of its mirror.
_TFHUB = ("tfhub.dev", ".tensorflow.google.cn")
_WHERE_TFHUB_WENT = (
    "tfhub.dev's models are on kaggle.com/models now, where a handle looks like "
    "google/nnlm/tensorFlow1/en-dim128/1"
)
_CERTIFICATES_VARIABLE = "TFHUB_DISABLE_CERT_VALIDATION"


def download(
    url: str,
    target: str,
    subject: Subject,
    *,
    stop_at: Callable[[str], bool] = lambda _: False,
) -> str:
    """Fetches a file, over as many tries as it takes.

    Proxies, ``~/.netrc`` and certificates follow the variables that curl has
    (``HTTPS_PROXY``, ``NO_PROXY``, ``REQUESTS_CA_BUNDLE`` or ``CURL_CA_BUNDLE``);
    ``TFHUB_DISABLE_CERT_VALIDATION=true`` accepts any certificate. Redirects are
    followed, but not from https to http, where anybody on the way could put
    another file in its place.

    Args:
        url: ``http://`` or ``https://``, maybe with ``user:password@``.
        target: the file to write; what is there is replaced.
        subject: the module, for messages.
        stop_at: takes the URL that a redirect leads to, and says whether
            somebody else fetches from there.

    Returns:
        The URL that answered, or the one where ``stop_at`` took over, with
        nothing written then.

    Raises:
        DownloadError: it could not be fetched, or not be written.
    """
    plain, auth = checked_url(url, subject)
    patience = _patience()
    with _Session(stop_at, subject) as session:
        while True:
            with _answer(session, plain, auth, subject) as response:
                if response.status_code != 200:
                    return session.redirected_to(response) or _refuse(response, subject)
                problem = _receive(response, target, subject)
            if problem is None:
                return response.url
            left = patience.after(
                response.url, problem, error=urllib3.exceptions.ProtocolError(problem)
            )
            if left is None:
                raise DownloadError(
                    "Cannot download a TF1 Hub module: the answer breaks off, each time.",
                    subject,
                    expected=f"{_length(response) or 'all'} bytes from {show_url(response.url)}",
                    found=f"{problem}, {RETRIES + 1} times",
                    advice="try again later, or fetch the archive by other means and pass its file",
                )
            patience = left


def location(url: str, subject: Subject) -> str:
    """Where a server says that a module lies, unpacked (a ``gs://`` URL).

    Raises:
        DownloadError: it does not say.
    """
    plain, auth = checked_url(url, subject)
    with (
        _Session(lambda _: True, subject) as session,
        _answer(session, plain, auth, subject) as response,
    ):
        if response.status_code >= 400:
            _refuse(response, subject)
        said = _beginning(response)
    if "://" in said and len(said.split()) == 1:
        return said
    raise DownloadError(
        "Cannot find where a TF1 Hub module lies uncompressed.",
        subject,
        expected=f"a location such as gs://bucket/module from {show_url(response.url)}",
        found=f"status {response.status_code} and {redact_within(said, url)[:80]!r}",
        advice="unset TFHUB_MODEL_LOAD_FORMAT, to fetch the module as an archive",
    )


class _Session(requests.Session):
    """Follows redirects as requests does, within the rules of :func:`download`."""

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
            self.mount(scheme, _Adapter())

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


class _Adapter(HTTPAdapter):
    """Tries again what may pass, each redirect by itself.

    urllib3 would, too, but it puts each try into the log in words of its own.
    """

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        """The answer to one request, whatever its status."""
        url, patience = str(request.url), _patience()
        while True:
            try:
                with hidden_in_logs(*_known(url)):
                    response = super().send(request, *args, **kwargs)
            except (requests.ConnectionError, requests.Timeout) as error:
                left = patience.after(url, _reason(error, url), error=_urllib3_error(error))
                if left is None:
                    raise
            else:
                if response.status_code not in _PASSING_STATUS:
                    return response
                problem = f"status {response.status_code}"
                left = patience.after(url, problem, response=response.raw)
                if left is None:
                    return response
                response.close()
            patience = left


class _Patience(urllib3.Retry):
    """Retries that wait as long as the server asks, within reason, and say so."""

    def get_retry_after(self, response: Any) -> float | None:
        """Seconds that the server asks to wait, if it does."""
        seconds = None
        # Of numbers and dates that are too large, it says so by other errors.
        with suppress(urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
            seconds = super().get_retry_after(response)
        return None if seconds is None else min(seconds, LONGEST_WAIT)

    def after(
        self, url: str, problem: str, *, error: Exception | None = None, response: Any = None
    ) -> _Patience | None:
        """What is left once it is time for another try; None if there is none.

        Args:
            url: what is asked for.
            problem: why it did not come.
            error: the same for urllib3, which counts by kinds of errors.
            response: urllib3's, if there was one.
        """
        try:
            left = self.increment("GET", show_url(url), response=response, error=error)
        except urllib3.exceptions.MaxRetryError:
            return None
        asked = None if response is None else left.get_retry_after(response)
        seconds = left.get_backoff_time() if asked is None else asked
        when = f"in {seconds:.0f} s" if seconds >= 1 else "now"
        logging.warning("%s: %s. Trying again %s.", show_url(url), problem, when)
        time.sleep(seconds)
        return left


def _patience() -> _Patience:
    return _Patience(
        total=RETRIES,
        # Of what rarely passes: nobody listens, no such name; no valid certificate.
        connect=FEW_RETRIES,
        other=FEW_RETRIES,
        backoff_factor=BACKOFF,
        status_forcelist=_PASSING_STATUS,
    )


def checked_url(url: str, subject: Subject) -> tuple[str, tuple[str, str] | None]:
    """A URL without its user and password, and the two.

    Raises:
        DownloadError: it is none.
    """
    if flaw := flaw_of(url):
        raise DownloadError(
            "Cannot download a TF1 Hub module: its handle is no URL.",
            subject,
            expected="https://host/path",
            found=f"{show_url(url)} ({flaw})",
            advice="check the handle",
        )
    return split_credentials(url)


def _answer(
    session: requests.Session, url: str, auth: tuple[str, str] | None, subject: Subject
) -> requests.Response:
    """The head of the final answer; its body is still to come."""
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
            stand_in(error, *_known(url, _asked(error, url))),
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
    found = _reason(error, url, asked)
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
        advice += f"; {_WHERE_TFHUB_WENT}"
    return DownloadError(
        problem, subject, expected=f"an answer from {show_url(asked)}", found=found, advice=advice
    )


def _reason(error: BaseException, *urls: str) -> str:
    """The first cause, which names the trouble; the errors around it repeat the URL."""
    *_, first = _causes(error)
    # Which object of urllib3 met it tells nobody anything.
    text = re.sub(r"^<?HTTPS?Connection[^:]*: ", "", str(first))
    return redact_within(text, *_known(*urls)) or type(first).__name__


def _known(*urls: str) -> list[str]:
    """What errors and logs may be about: the proxies, too, which may have passwords."""
    proxies = requests.utils.getproxies().values()
    return [*urls, *(proxy if "://" in proxy else f"http://{proxy}" for proxy in proxies)]


def _urllib3_error(error: BaseException) -> Exception:
    """The first cause that is an error of urllib3."""
    known = [e for e in _causes(error) if isinstance(e, urllib3.exceptions.HTTPError)]
    return known[-1] if known else urllib3.exceptions.ProtocolError(str(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it wraps, from the outside in."""
    while error is not None:
        yield error
        inner = (getattr(error, "reason", None), *error.args)
        error = next((e for e in inner if isinstance(e, BaseException)), None)


def _refuse(response: requests.Response, subject: Subject) -> str:
    """Tells a status that brings no file."""
    status = response.status_code
    advice = "check the handle"
    if status in (401, 403):
        advice = (
            "name a user in ~/.netrc or the URL, or fetch the archive by hand and pass its file"
        )
    elif status in (404, 410):
        advice = f"check the handle; {_WHERE_TFHUB_WENT}"
    elif status in _PASSING_STATUS:
        advice = f"try again later; {RETRIES} retries made no difference"
    raise DownloadError(
        "Cannot download a TF1 Hub module: the server refuses.",
        subject,
        expected=f"status 200 from {show_url(response.url)}",
        found=f"status {status} {legible((response.reason or '')[:100])}".rstrip(),
        advice=advice,
    )


def _receive(response: requests.Response, target: str, subject: Subject) -> str | None:
    """Writes the body to a file.

    Returns:
        What went wrong on the way, if that may pass; else None.
    """
    # urllib3 compares what comes with Content-Length.
    length = _length(response)
    path = urllib.parse.urlsplit(redact(response.url)).path
    name = legible(os.path.basename(path.rstrip("/"))[-_LONGEST_NAME:])
    received = 0
    try:
        with (
            hidden_in_logs(response.url),
            download_bar(name or "module", length) as advance,
            open(target, "wb") as file,
        ):
            for chunk in response.raw.stream(_CHUNK, decode_content=False):
                file.write(chunk)
                received += len(chunk)
                advance(len(chunk))
    except urllib3.exceptions.HTTPError as error:
        return f"{received} bytes, then {_reason(error, response.url)}"
    except OSError as error:
        raise DownloadError(
            "Cannot download a TF1 Hub module: it cannot be written.",
            subject,
            expected=f"to write {length or 'all'} bytes from {show_url(response.url)}",
            found=str(error),
            advice="free some space, or point TFHUB_CACHE_DIR to a folder on a larger disk",
        ) from error
    return None


def _beginning(response: requests.Response) -> str:
    """What a body says, if it is short; nothing if it breaks off."""
    with hidden_in_logs(response.url), suppress(urllib3.exceptions.HTTPError):
        return response.raw.read(4096).decode("utf-8", "replace").strip()
    return ""


def _length(response: requests.Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None
