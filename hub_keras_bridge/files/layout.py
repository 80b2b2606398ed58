"""What lies where in a module directory, and its two small messages.

A module directory holds ``tfhub_module.pb``, ``saved_model.pb``, ``variables/``
(absent without variables) and ``assets/``. Field numbers are those of
tensorflow/hub's ``module_def.proto`` and ``module_attachment.proto``. Needs no
TensorFlow.
"""

from __future__ import annotations

import os
import posixpath

from hub_keras_bridge.errors import FormatError, Subject
from hub_keras_bridge.files.protos import Field, define

# What a folder may be of, for messages.
HUB_MODULE = "TF1 Hub module"
TF1_SAVED_MODEL = "TF1 SavedModel"

MODULE_FILE = "tfhub_module.pb"
SAVED_MODEL_FILE = "saved_model.pb"
ASSETS_FOLDER = "assets"
VARIABLES_PREFIX = os.path.join("variables", "variables")

FORMAT_V3 = 3
ASSETS_COLLECTION = "saved_model_assets"
ATTACHMENTS_COLLECTION = "hub_module_attachments"

# The value of an asset's path in a published graph; the file takes its place.
ASSET_PATH = b"SAVEDMODEL-ASSET"

_MESSAGES = define(
    "module.proto",
    {
        # An enum in tensorflow/hub; on the wire an enum is an int32.
        "ModuleDef": [
            Field("format", 1, "int32"),
            Field("required_features", 2, "string", repeated=True),
        ],
        "ModuleAttachment": [Field("key", 1, "string"), Field("value", 2, "bytes")],
    },
)
ModuleDef = _MESSAGES["ModuleDef"]
ModuleAttachment = _MESSAGES["ModuleAttachment"]


def module_def_bytes() -> bytes:
    """The content of ``tfhub_module.pb`` in a module that this package writes."""
    return ModuleDef(format=FORMAT_V3).SerializeToString()


def modules_in(folder: str) -> list[str]:
    """The subfolders of a local folder that look like modules.

    >>> import tempfile
    >>> store = tempfile.mkdtemp()
    >>> for name in ("embed", "notes"):
    ...     os.mkdir(os.path.join(store, name))
    >>> _ = open(os.path.join(store, "embed", SAVED_MODEL_FILE), "w")
    >>> [os.path.basename(path) for path in modules_in(store)]
    ['embed']
    """
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    paths = [os.path.join(folder, name) for name in names]
    return [path for path in paths if os.path.isfile(os.path.join(path, SAVED_MODEL_FILE))]


def safe_asset_name(name: str, subject: Subject) -> str:
    """The asset's file name, if it stays inside ``assets/``.

    Raises:
        FormatError: it does not.
    """
    inside = (
        name
        and name == posixpath.normpath(name)
        and not posixpath.isabs(name)
        and name.split("/")[0] not in (".", "..")
        and not {"\\", "\0", ":"} & set(name)
    )
    if not inside:
        raise FormatError(
            "Refused a TF1 Hub module: an asset's file name leads outside its folder.",
            subject,
            expected=f"a file name below {ASSETS_FOLDER}/",
            found=repr(name),
            advice="do not use this module unless you trust who published it; "
            "a regular exporter never writes such a name",
        )
    return name
