"""Choices and converted files in a folder, for the next process that compiles the same."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from absl import logging

from hub_keras_bridge.files.fetch.archived import sha256_of
from hub_keras_bridge.files.fetch.ownership import stranger_in
from hub_keras_bridge.files.writing import whole
from hub_keras_bridge.frontends.compiled.report import Report
from hub_keras_bridge.running.engines.engine import Engine, EngineOptions
from hub_keras_bridge.running.frozen_call import Arrays, FrozenCall
from hub_keras_bridge.version import VERSION

_CHOICE = "choice.json"


def key_of(
    call: FrozenCall,
    engines: Mapping[str, Engine],
    options: EngineOptions,
    batches: Iterable[Arrays],
) -> dict[str, Any]:
    """All that a choice depends on, ready for JSON.

    That is the graph with its weights, what was asked, the versions of all that has a
    part in it, and the processor.
    """
    told = call.whole.graph_def.SerializeToString(deterministic=True)
    return {
        "graph": hashlib.sha256(told).hexdigest(),
        "inputs": list(call.whole.inputs),
        "outputs": list(call.whole.fetches),
        "engines": {name: each.versions for name, each in engines.items() if not each.missing},
        "asked": [*engines, options.threads, options.int8],
        "shapes": [[list(value.shape) for value in flat] for flat in batches],
        "versions": {
            "hub_keras_bridge": VERSION,
            "tensorflow": tf.__version__,
            "python": platform.python_version(),
        },
        "processor": _processor(),
    }


@dataclass(frozen=True)
class Kept:
    """What a folder has of a key.

    Attributes:
        folder: where the files of engines are, by :func:`preparing.path_of`.
        report: what was found out.
    """

    folder: str
    report: Report


def read(keep: str, key: Mapping[str, Any], subject: str) -> Kept | None:
    """What was kept, if it was for this very key, is whole, and is nobody else's.

    Args:
        keep: the folder.
        key: what :func:`key_of` told.
        subject: for the report.
    """
    folder = _place(keep, key)
    path = os.path.join(folder, _CHOICE)
    if not os.path.isfile(path):
        return None
    if stranger := stranger_in(folder):
        logging.warning("Not used, since it is another user's (%s): %s", stranger, folder)
        return None
    try:
        with open(path) as file:
            found = json.load(file)
        alike = found["key"] == json.loads(json.dumps(key))
        if not alike or any(
            sha256_of(os.path.join(folder, n)) != d for n, d in found["files"].items()
        ):
            return None
        return Kept(folder, Report.from_json(subject, found["report"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        logging.warning("Not used, since it is damaged (%s): %s", error, folder)
        return None


def write(
    keep: str, key: Mapping[str, Any], report: Report, made: str, used: Iterable[str]
) -> None:
    """Keeps a choice, and the files of the engines that were chosen.

    Args:
        keep: the folder, made if need be.
        key: what :func:`key_of` told.
        report: what was found out.
        made: where the files are.
        used: names of the files' engines.

    Raises:
        OSError: it cannot be written.
    """
    target = _place(keep, key)
    with whole(target, parents=True, require_free=lambda: _remove(target)) as folder:
        os.mkdir(folder)
        files = {}
        for name in sorted(os.listdir(made)):
            if os.path.splitext(name)[0] in used:
                shutil.copyfile(os.path.join(made, name), os.path.join(folder, name))
                files[name] = sha256_of(os.path.join(folder, name))
        with open(os.path.join(folder, _CHOICE), "w") as file:
            json.dump({"key": key, "files": files, "report": report.to_json()}, file, indent=2)


def _remove(folder: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _place(keep: str, key: Mapping[str, Any]) -> str:
    told = json.dumps(key, sort_keys=True).encode()
    return os.path.join(os.path.abspath(keep), hashlib.sha256(told).hexdigest()[:32])


def _processor() -> dict[str, Any]:
    """The processor, as far as it decides what is fastest."""
    facts: dict[str, Any] = {"machine": platform.machine(), "cores": os.cpu_count()}
    if hasattr(os, "sched_getaffinity"):
        facts["usable"] = len(os.sched_getaffinity(0))
    gpus = tf.config.get_visible_devices("GPU")
    facts["gpus"] = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    try:
        with open("/proc/cpuinfo") as file:
            lines = [line.split(":", 1) for line in file if ":" in line]
    except OSError:
        return {**facts, "name": platform.processor()}
    wanted = ("model name", "flags", "Features", "CPU implementer", "CPU part")
    found = {name.strip(): value.strip() for name, value in reversed(lines)}
    return {**facts, **{name: found[name] for name in wanted if name in found}}
