"""Names of the original library that are not here, and what took their place."""

from __future__ import annotations

from typing import NoReturn

SUCCESSORS = {
    "KerasLayer": "hub.ModuleLayer(handle)",
    "image_util": "hub.get_expected_image_size(spec) and hub.get_num_image_channels(spec)",
}


def refuse(package: str, name: str) -> NoReturn:
    """Says that a package has no such attribute, and what to use where it had been one.

    >>> refuse("hub_keras_bridge", "KerasLayer")
    Traceback (most recent call last):
        ...
    AttributeError: module 'hub_keras_bridge' has no attribute 'KerasLayer'; use
    hub.ModuleLayer(handle), see docs/migration.md

    Raises:
        AttributeError: always.
    """
    successor = SUCCESSORS.get(name)
    advice = f"; use {successor}, see docs/migration.md" if successor else ""
    text = f"module {package!r} has no attribute {name!r}{advice}"
    raise AttributeError(text, name=name)
