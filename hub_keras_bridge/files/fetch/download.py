"""One file by HTTP: with retries, in full, and told plainly where it fails."""

from __future__ import annotations

import os
import re
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextlib import suppress

import requests
import urllib3

from hub_keras_bridge.errors import DownloadError, Subject
from hub_keras_bridge.errors.redaction import redact
from hub_keras_bridge.errors.words import legible, show_url
from hub_keras_bridge.files.fetch import retrying
from hub_keras_bridge.files.fetch.causes import reason
from hub_keras_bridge.files.fetch.foreign import hidden_in_logs, redact_within
from hub_keras_bridge.files.fetch.session import WHERE_TFHUB_WENT, Session, answer
from hub_keras_bridge.files.progress import download_bar
from hub_keras_bridge.files.urls import flaw_of, split_credentials

_CHUNK = 2**16
_LONGEST_NAME = 60


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
    tries = retrying.Tries()
    with Session(stop_at, subject) as session:
        while True:
            with answer(session, plain, auth, subject) as response:
                if response.status_code != 200:
                    return session.redirected_to(response) or _refuse(response, subject)
                problem = _receive(response, target, subject)
            if problem is None:
                return response.url
            broken = urllib3.exceptions.ProtocolError(problem)
            if not tries.again(response.url, problem, error=broken):
                raise DownloadError(
                    "Cannot download a TF1 Hub module: the answer breaks off, each time.",
                    subject,
                    expected=f"{_length(response) or 'all'} bytes from {show_url(response.url)}",
                    found=f"{problem}, {retrying.RETRIES + 1} times",
                    advice="try again later, or fetch the archive by other means and pass its file",
                )


def location(url: str, subject: Subject) -> str:
    """Where a server says that a module lies, unpacked (a ``gs://`` URL).

    Raises:
        DownloadError: it does not say.
    """
    plain, auth = checked_url(url, subject)
    with (
        Session(lambda _: True, subject) as session,
        answer(session, plain, auth, subject) as response,
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


def _refuse(response: requests.Response, subject: Subject) -> str:
    """Tells a status that brings no file."""
    status = response.status_code
    advice = "check the handle"
    if status in (401, 403):
        advice = (
            "name a user in ~/.netrc or the URL, or fetch the archive by hand and pass its file"
        )
    elif status in (404, 410):
        advice = f"check the handle; {WHERE_TFHUB_WENT}"
    elif status in retrying.PASSING_STATUS:
        advice = f"try again later; {retrying.RETRIES} retries made no difference"
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
        return f"{received} bytes, then {reason(error, response.url)}"
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
