"""TF1 Hub modules in today's Keras and TensorFlow.

>>> import hub_keras_bridge as hub
>>> layer = hub.ModuleLayer("/path/to/module", trainable=True)  # doctest: +SKIP
"""

from hub_keras_bridge.authoring import add_signature, attach_message, create_module_spec
from hub_keras_bridge.errors import (
    AttachmentError,
    BackendError,
    CheckpointError,
    ExportError,
    FormatError,
    GraphModeError,
    HandleError,
    HubError,
    InputError,
    PublishError,
    SignatureError,
    TagsError,
    TrainingError,
    UnknownOpError,
    UnsafeModuleError,
)
from hub_keras_bridge.layer import ModuleLayer
from hub_keras_bridge.module import Module, eval_function_for_module
from hub_keras_bridge.resolve import resolve
from hub_keras_bridge.spec import ModuleSpec, load_module_spec
from hub_keras_bridge.version import VERSION as __version__

__all__ = [
    "AttachmentError",
    "BackendError",
    "CheckpointError",
    "ExportError",
    "FormatError",
    "GraphModeError",
    "HandleError",
    "HubError",
    "InputError",
    "Module",
    "ModuleLayer",
    "ModuleSpec",
    "PublishError",
    "SignatureError",
    "TagsError",
    "TrainingError",
    "UnknownOpError",
    "UnsafeModuleError",
    "__version__",
    "add_signature",
    "attach_message",
    "create_module_spec",
    "eval_function_for_module",
    "load_module_spec",
    "resolve",
]
