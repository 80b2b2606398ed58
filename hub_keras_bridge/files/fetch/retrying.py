"""Tries again, as often and as late as makes sense, what may pass."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import requests
import urllib3
from absl import logging
from requests.adapters import HTTPAdapter

from hub_keras_bridge.errors.words import show_url
from hub_keras_bridge.files.fetch.causes import causes_of, known_urls, reason
from hub_keras_bridge.files.fetch.foreign import hidden_in_logs

# The first retry is made at once, the others after one, two, four, eight times
# this many seconds, or when the server says, but not later than the longest wait.
RETRIES = 5
BACKOFF = 0.5
FEW_RETRIES = 1
LONGEST_WAIT = 60.0
PASSING_STATUS = (429, 500, 502, 503, 504)


class RetryingAdapter(HTTPAdapter):
    """Tries again what may pass, each redirect by itself.

    urllib3 would, too, but with a warning of its own at each try, and only after it has
    read a refusal to its end, however long that is.
    """

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        """The answer to one request, whatever its status."""
        url, tries = str(request.url), Tries()
        while True:
            try:
                with hidden_in_logs(*known_urls(url)):
                    response = super().send(request, *args, **kwargs)
            except (requests.ConnectionError, requests.Timeout) as error:
                if not tries.again(url, reason(error, url), error=_urllib3_error(error)):
                    raise
            else:
                problem = f"status {response.status_code}"
                may_pass = response.status_code in PASSING_STATUS
                if not may_pass or not tries.again(url, problem, response=response.raw):
                    return response
                response.close()


class Tries:
    """The tries that are left to get one answer."""

    def __init__(self) -> None:
        self._left: urllib3.Retry = _Patience(
            total=RETRIES,
            # Of what rarely passes: nobody listens, no such name; no valid certificate.
            connect=FEW_RETRIES,
            other=FEW_RETRIES,
            backoff_factor=BACKOFF,
            status_forcelist=PASSING_STATUS,
        )

    def again(
        self, url: str, problem: str, *, error: Exception | None = None, response: Any = None
    ) -> bool:
        """Waits until it is time for another try, and says so; False if none is left.

        Args:
            url: what is asked for.
            problem: why it did not come.
            error: the same for urllib3, which counts by kinds of errors.
            response: urllib3's, if there was one.
        """
        try:
            self._left = self._left.increment("GET", show_url(url), response=response, error=error)
        except urllib3.exceptions.MaxRetryError:
            return False
        asked = None if response is None else self._left.get_retry_after(response)
        seconds = self._left.get_backoff_time() if asked is None else asked
        when = f"in {seconds:.0f} s" if seconds >= 1 else "now"
        logging.warning("%s: %s. Trying again %s.", show_url(url), problem, when)
        time.sleep(seconds)
        return True


class _Patience(urllib3.Retry):
    """Retries that wait as long as the server asks, within reason."""

    def get_retry_after(self, response: Any) -> float | None:
        """Seconds that the server asks to wait, if it does."""
        seconds = None
        # Of numbers and dates that are too large, it says so by other errors.
        with suppress(urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
            seconds = super().get_retry_after(response)
        return None if seconds is None else min(seconds, LONGEST_WAIT)


def _urllib3_error(error: BaseException) -> Exception:
    """The first cause that is an error of urllib3."""
    known = [e for e in causes_of(error) if isinstance(e, urllib3.exceptions.HTTPError)]
    return known[-1] if known else urllib3.exceptions.ProtocolError(str(error))
