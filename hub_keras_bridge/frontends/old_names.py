"""Names that the package lacks: the original library's, and misspelt ones.

The original's submodules were in reach, ``hub.image_util.get_expected_image_size``
or ``from tensorflow_hub.module_v2 import load``, and public code uses them. Here
such a path is made when it is asked for; ``version`` needs none, since a module of this
package has this name. Of what is nowhere, the error tells what took its place or which public
name is like it.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn

PACKAGE = __name__.partition(".")[0]


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


# Submodule of the original -> what it has -> the package's name for it, or where that lies.
SUBMODULES = {
    "estimator": _same("LatestModuleExporter", "register_module_for_export"),
    "feature_column": _same(
        "image_embedding_column", "sparse_text_embedding_column", "text_embedding_column"
    ),
    "feature_column_v2": _same("text_embedding_column_v2"),
    "image_module_info_pb2": _same("ImageModuleInfo"),
    "image_util": _same(
        "ImageModuleInfo",
        "attach_image_module_info",
        "get_expected_image_size",
        "get_num_image_channels",
    ),
    "module": _same("Module", "eval_function_for_module", "load_module_spec"),
    "module_spec": _same("ModuleSpec"),
    "module_v2": _same("load", "resolve"),
    "native_module": _same("add_signature", "attach_message", "create_module_spec"),
    "registry": {"resolver": "resolve"},
    "saved_model_module": _same("create_module_spec_from_saved_model"),
    "tensor_info": {"ParsedTensorInfo": "facts.tensor_info.ParsedTensorInfo"},
}

_LAYER = "hub.ModuleLayer(handle)"
_NOTHING = "nothing in its place: it was internal to tensorflow_hub"

# What is not here -> what to use.
SUCCESSORS = {
    "KerasLayer": _LAYER,
    "compressed_module_resolver": "hub.resolve(handle)",
    "config": "hub.RESOLVERS",
    "file_utils": "hub.cached_archive(handle, fetch)",
    "image_util.get_image_module_info": 'spec.get_attached_message("image_module_info", '
    "hub.ImageModuleInfo)",
    "keras_layer": _LAYER,
    "meta_graph_lib": _NOTHING,
    "module_attachment_pb2": _NOTHING,
    "module_def_pb2": _NOTHING,
    "module_impl": _NOTHING,
    "native_module.get_module_proto_path": 'os.path.join(path, "tfhub_module.pb")',
    "registry.loader": "hub.load_module_spec(handle)",
    "resolver": "hub.resolve(handle) or hub.RESOLVERS",
    "saved_model_lib": _NOTHING,
    "tf_utils": _NOTHING,
    "tf_v1": "tf.compat.v1",
    "uncompressed_module_resolver": "hub.resolve(handle)",
}


def find(name: str) -> ModuleType:
    """An attribute of the package that is a submodule of the original.

    >>> sorted(name for name in dir(find("module_v2")) if not name.startswith("_"))
    ['load', 'resolve']

    Raises:
        AttributeError: it is none, see :func:`refuse`.
    """
    if name in SUBMODULES:
        return importlib.import_module(f"{PACKAGE}.{name}")
    refuse(name)


def refuse(name: str) -> NoReturn:
    """Says that there is no such attribute, and what to use instead.

    Args:
        name: the attribute, after those that lead to it from the package.

    >>> refuse("KerasLayer")
    Traceback (most recent call last):
        ...
    AttributeError: module 'hub_keras_bridge' has no attribute 'KerasLayer'; use
    hub.ModuleLayer(handle), see docs/migration.md
    >>> refuse("module_layer")
    Traceback (most recent call last):
        ...
    AttributeError: module 'hub_keras_bridge' has no attribute 'module_layer'. Did you mean:
    'ModuleLayer'?

    Raises:
        AttributeError: always.
    """
    module, attribute = _split(name)
    text = f"module {module!r} has no attribute {attribute!r}{_advice(name)}"
    raise AttributeError(text, name=attribute)


def install() -> None:
    """Lets import statements find the submodules, and tell what is not here."""
    # Only what no other finder has comes to the last one.
    if not any(isinstance(finder, _OldNames) for finder in sys.meta_path):
        sys.meta_path.append(_OldNames())


def _split(name: str) -> tuple[str, str]:
    """The module that an attribute is looked for in, and the attribute."""
    module, _, attribute = f"{PACKAGE}.{name}".rpartition(".")
    return module, attribute


def _advice(name: str) -> str:
    if name in SUCCESSORS:
        return f"; use {SUCCESSORS[name]}, see docs/migration.md"
    if name.partition(".")[0] in SUBMODULES:
        return "; see docs/migration.md"
    meant = _meant(name)
    return f". Did you mean: {meant!r}?" if meant else ""


def _meant(name: str) -> str | None:
    """The name in reach that one is most like, in letters of whatever case.

    Python finds it, too, but only from release 3.12 on for what is imported, and never
    where a module has a ``__getattr__``.
    """
    if name.startswith("_"):  # Programs look for such, not people.
        return None
    known = {each.lower(): each for each in (*SUBMODULES, *sys.modules[PACKAGE].__all__)}
    nearest = difflib.get_close_matches(name.lower(), known, n=1)
    return known[nearest[0]] if nearest else None


class _OldNames(MetaPathFinder, Loader):
    """Finds the submodules; loads each with what it has."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """The submodule, if it is the original's.

        Raises:
            ModuleNotFoundError: what it says helps more than what Python says. A
                statement ``from package import name``, too, asks here for what the
                package lacks, and drops the text of an AttributeError.
        """
        package, _, name = fullname.partition(".")
        if package != PACKAGE or not name:
            return None
        if name in SUBMODULES:
            # A package, so that what it lacks is asked for here as well.
            return ModuleSpec(fullname, self, is_package=True)
        advice = _advice(name)
        if not advice:
            return None
        module, attribute = _split(name)
        # Without a name: of what it was to import, Python passes over the text.
        raise ModuleNotFoundError(f"cannot import name {attribute!r} from {module!r}{advice}")

    def exec_module(self, module: ModuleType) -> None:
        """Fills a submodule."""
        name = module.__name__.partition(".")[2]
        for attribute, here in SUBMODULES[name].items():
            where, _, there = f"{PACKAGE}.{here}".rpartition(".")
            setattr(module, attribute, getattr(importlib.import_module(where), there))

        def absent(attribute: str) -> Any:
            refuse(f"{name}.{attribute}")

        module.__getattr__ = absent  # type: ignore[method-assign]
