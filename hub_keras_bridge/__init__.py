"""TF1 Hub modules in today's Keras and TensorFlow.

>>> import hub_keras_bridge as hub
>>> layer = hub.ModuleLayer("/path/to/module", trainable=True)  # doctest: +SKIP
"""

from hub_keras_bridge.authoring import add_signature, attach_message, create_module_spec
from hub_keras_bridge.common_signatures import check_common_signature
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
from hub_keras_bridge.image_info import (
    ImageModuleInfo,
    attach_image_module_info,
    get_expected_image_size,
    get_num_image_channels,
)
from hub_keras_bridge.latest_exporter import LatestModuleExporter, register_module_for_export
from hub_keras_bridge.layer import ModuleLayer
from hub_keras_bridge.module import Module, eval_function_for_module
from hub_keras_bridge.resolve import resolve
from hub_keras_bridge.saved_model import create_module_spec_from_saved_model
from hub_keras_bridge.spec import ModuleSpec, load_module_spec
from hub_keras_bridge.text_embedding import publish_text_embedding
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
    "ImageModuleInfo",
    "InputError",
    "LatestModuleExporter",
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
    "attach_image_module_info",
    "attach_message",
    "check_common_signature",
    "create_module_spec",
    "create_module_spec_from_saved_model",
    "eval_function_for_module",
    "get_expected_image_size",
    "get_num_image_channels",
    "load_module_spec",
    "publish_text_embedding",
    "register_module_for_export",
    "resolve",
]
