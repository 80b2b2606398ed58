"""The public names of the original library: run inside its environment.

``python -m original.names FILE`` writes them as JSON, with what kind each is of
or how it is called.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import tensorflow_hub as hub
from tensorflow_hub.tensor_info import ParsedTensorInfo

_CLASSES = {
    "KerasLayer": hub.KerasLayer,
    "LatestModuleExporter": hub.LatestModuleExporter,
    "Module": hub.Module,
    "ModuleSpec": hub.ModuleSpec,
    "ParsedTensorInfo": ParsedTensorInfo,
}


def main(file: Path) -> None:
    recorded = {
        "source": f"python -m original.names, in scripts/, with {_version()}",
        "names": {name: _kind(getattr(hub, name)) for name in dir(hub) if _is_public(name)}
        | {"__version__": "str"},
        "members": {name: _members(owner) for name, owner in _CLASSES.items()},
        "submodules": {found.name: _submodule(found.name) for found in _submodules()},
    }
    file.write_text(json.dumps(recorded, indent=1) + "\n")


def _version() -> str:
    return " on ".join(
        f"{name} {metadata.version(name)}" for name in ("tensorflow-hub", "tensorflow-cpu")
    )


def _submodules() -> list[pkgutil.ModuleInfo]:
    return list(pkgutil.iter_modules(hub.__path__))


def _submodule(name: str) -> dict[str, str]:
    module = importlib.import_module(f"tensorflow_hub.{name}")
    return {
        name: _kind(value)
        for name, value in sorted(vars(module).items())
        # What it defines, not what it imports.
        if _is_public(name) and _home(value) == module.__name__
    }


def _home(value: Any) -> str | None:
    """The module of a function or class, or of an object's class."""
    return getattr(value, "__module__", None)


def _members(owner: type) -> dict[str, str]:
    """What the class itself defines; Keras and Python say what they do."""
    return {
        # Of a class method, what is called on the class.
        name: _kind(getattr(owner, name) if isinstance(value, classmethod) else value)
        for name, value in sorted(vars(owner).items())
        if _is_public(name) or name == "__call__"
    }


def _is_public(name: str) -> bool:
    return not name.startswith("_")


def _kind(value: Any) -> str:
    if isinstance(value, ModuleType | property):
        return type(value).__name__
    if callable(value) and not hasattr(value, "DESCRIPTOR"):
        return str(inspect.signature(value))
    return "class" if inspect.isclass(value) else type(value).__name__


if __name__ == "__main__":
    main(Path(sys.argv[1]))
