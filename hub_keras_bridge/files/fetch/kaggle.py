"""Modules on kaggle.com/models, where tfhub.dev's went, through ``kagglehub``.

``kagglehub`` (extra ``[kaggle]``) logs in, picks the newest version where none
is named, and keeps modules in a cache of its own.
"""

from __future__ import annotations

import importlib
import re
import urllib.parse

from hub_keras_bridge.errors import DownloadError, HandleError, Subject
from hub_keras_bridge.errors.words import show_url
from hub_keras_bridge.files.fetch import integrity
from hub_keras_bridge.files.fetch.foreign import redact_within, stand_in

_HOSTS = ("kaggle.com", "www.kaggle.com")
_NAME = r"[\w-][\w.-]*"
_BARE = re.compile(rf"({_NAME}/{_NAME})/(tensorflow[12])/({_NAME})(?:/(\d+))?", re.IGNORECASE)
_PAGE = re.compile(
    rf"/models/({_NAME}/{_NAME})/(?:frameworks/)?({_NAME})/(?:variations/)?({_NAME})"
    r"(?:/(?:versions/)?(\d+))?/?",
    re.IGNORECASE,
)


def kaggle_handle(handle: str) -> str | None:
    """What ``kagglehub`` calls a module, or None if it is none of Kaggle's.

    Args:
        handle: the URL of a page below ``kaggle.com/models``, or a bare handle
            ``owner/model/framework/variation[/version]`` of a TensorFlow model.

    >>> kaggle_handle("https://www.kaggle.com/models/google/nnlm/TensorFlow1/en-dim128/1")
    'google/nnlm/tensorFlow1/en-dim128/1'
    >>> kaggle_handle("google/nnlm/tensorFlow1/en-dim128")
    'google/nnlm/tensorFlow1/en-dim128'
    >>> kaggle_handle("models/embed")
    """
    if is_page(handle):
        match = _PAGE.fullmatch(urllib.parse.urlsplit(handle).path)
    else:
        match = _BARE.fullmatch(handle)
    if match is None:
        return None
    model, framework, variation, version = match.groups()
    # Pages write TensorFlow1, handles tensorFlow1.
    framework = re.sub("tensorflow", "tensorFlow", framework, flags=re.IGNORECASE)
    return "/".join(part for part in (model, framework, variation, version) if part)


def is_page(url: str) -> bool:
    """Whether a URL is that of a model on Kaggle."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:  # It is no URL.
        return False
    return (
        parts.scheme in ("http", "https")
        and parts.hostname in _HOSTS
        and parts.path.startswith("/models/")
    )


def download(page_or_handle: str, subject: Subject) -> str:
    """The folder in which ``kagglehub`` keeps a module, fetched if need be.

    Args:
        page_or_handle: what :func:`kaggle_handle` takes.
        subject: the module as the user called it, for messages.

    Raises:
        HandleError: a page that is no model's, or ``kagglehub`` is not installed.
        DownloadError: it did not succeed.
    """
    handle = kaggle_handle(page_or_handle)
    if handle is None:
        raise HandleError(
            "Cannot fetch a TF1 Hub module from Kaggle: this page is not a model's.",
            subject,
            expected="https://www.kaggle.com/models/OWNER/MODEL/FRAMEWORK/VARIATION/VERSION",
            found=show_url(page_or_handle),
            advice="choose framework and variation on the page, and copy the handle under Download",
        )
    folder = _fetch(handle, subject)
    fault = integrity.fault(folder)
    if fault:
        raise DownloadError(
            "Kaggle's download is not a TF1 Hub module.",
            subject,
            expected="the files of a module",
            found=f"{fault} in {folder}, which is {handle!r}",
            advice="choose another variation of the model, of framework TensorFlow1",
        )
    return folder


def _fetch(handle: str, subject: Subject) -> str:
    """The folder that ``kagglehub`` gives, asked again if it is not whole."""
    fetch = _model_download(handle, subject)
    try:
        folder: str = fetch(handle)
        return fetch(handle, force_download=True) if integrity.fault(folder) else folder
    # Its errors have no root of their own.
    except Exception as error:
        cause = stand_in(error)
        found = f"{type(error).__name__}: {redact_within(str(error))}"
    raise DownloadError(
        "Cannot fetch a TF1 Hub module from Kaggle.",
        subject,
        expected=f"kagglehub to download {handle!r}",
        found=found,
        advice="check the handle and the network; some models need kagglehub.login() and "
        "consent to their licence on the model's page",
    ) from cause


def _model_download(handle: str, subject: Subject):  # type: ignore[no-untyped-def]
    try:
        return importlib.import_module("kagglehub").model_download
    except ImportError as error:
        raise HandleError(
            "Cannot fetch a TF1 Hub module from Kaggle: kagglehub is not installed.",
            subject,
            expected=f"kagglehub, to download {handle!r}",
            found=str(error),
            advice="python -m pip install 'hub_keras_bridge[kaggle]', or download the model from "
            f"https://www.kaggle.com/models/{handle} and pass its file",
        ) from error
