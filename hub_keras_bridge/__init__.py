"""TF1 Hub modules in today's Keras and TensorFlow.

>>> import hub_keras_bridge as hub
>>> layer = hub.ModuleLayer("/path/to/module", trainable=True)  # doctest: +SKIP
"""

import sys
import typing

from hub_keras_bridge.frontends import old_names as _old_names
from hub_keras_bridge.version import VERSION as __version__


def _is_command_line() -> bool:
    """Whether the command line imports the package: by its script, or by ``python -m``."""
    if "hub_keras_bridge_cli" in sys.modules:
        return True
    # While Python looks for what it is to run, "-m" stands for that.
    return sys.argv[:1] == ["-m"] and sys.orig_argv[-len(sys.argv)] == __name__


# Keras finds the class of a saved layer only in what is imported, so importing
# the package imports all of it, TensorFlow included, which takes seconds. The
# command line imports what the chosen command needs instead.
if not _is_command_line():
    from hub_keras_bridge.errors import (
        ArchiveError,
        AttachmentError,
        BackendError,
        CacheError,
        CheckpointError,
        ConfigError,
        ConversionError,
        DownloadError,
        EngineError,
        ExportError,
        ExtraError,
        ForkError,
        FormatError,
        GraphModeError,
        HandleError,
        HubError,
        InputError,
        PublishError,
        SeedError,
        SignatureError,
        StrategyError,
        TableError,
        TagsError,
        TrainingError,
        UnknownOpError,
        UnsafeModuleError,
        XlaError,
    )
    from hub_keras_bridge.facts.reading import load_module_spec
    from hub_keras_bridge.facts.spec import ModuleSpec
    from hub_keras_bridge.facts.text_bytes import text_to_bytes
    from hub_keras_bridge.files import archive
    from hub_keras_bridge.files.fetch.archived import cached_archive
    from hub_keras_bridge.files.fetch.resolve import RESOLVERS, Resolver, resolve
    from hub_keras_bridge.frontends.compiled.compile import compile
    from hub_keras_bridge.frontends.compiled.compiled import Compiled
    from hub_keras_bridge.frontends.feature_columns.images import image_embedding_column
    from hub_keras_bridge.frontends.feature_columns.sparse_text import sparse_text_embedding_column
    from hub_keras_bridge.frontends.feature_columns.text import text_embedding_column
    from hub_keras_bridge.frontends.feature_columns.text_v2 import text_embedding_column_v2
    from hub_keras_bridge.frontends.keras3 import old_archives as _old_archives  # noqa: F401
    from hub_keras_bridge.frontends.keras3.exported_modules import register_module_for_export
    from hub_keras_bridge.frontends.keras3.latest_exporter import LatestModuleExporter
    from hub_keras_bridge.frontends.keras3.module_layer import ModuleLayer
    from hub_keras_bridge.frontends.tf1.evaluate import eval_function_for_module
    from hub_keras_bridge.frontends.tf1.module import Module
    from hub_keras_bridge.frontends.tf2.load import load
    from hub_keras_bridge.plans.audit import audit_module
    from hub_keras_bridge.publishing.common_signatures import check_common_signature
    from hub_keras_bridge.publishing.expected_images import (
        get_expected_image_size,
        get_num_image_channels,
    )
    from hub_keras_bridge.publishing.from_saved_model import create_module_spec_from_saved_model
    from hub_keras_bridge.publishing.image_info import ImageModuleInfo, attach_image_module_info
    from hub_keras_bridge.publishing.module_fn import (
        add_signature,
        attach_message,
        create_module_spec,
    )
    from hub_keras_bridge.publishing.text_embedding import publish_text_embedding
    from hub_keras_bridge.running.engines.engine import Engine, EngineOptions
    from hub_keras_bridge.running.engines.table import ENGINES
    from hub_keras_bridge.tools.apply.apply import apply_to_file
    from hub_keras_bridge.tools.convert import convert

__all__ = [  # noqa: RUF022, in the order of sorted()
    "ArchiveError",
    "AttachmentError",
    "BackendError",
    "CacheError",
    "CheckpointError",
    "Compiled",
    "ConfigError",
    "ConversionError",
    "DownloadError",
    "ENGINES",
    "Engine",
    "EngineError",
    "EngineOptions",
    "ExportError",
    "ExtraError",
    "ForkError",
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
    "RESOLVERS",
    "Resolver",
    "SeedError",
    "SignatureError",
    "StrategyError",
    "TableError",
    "TagsError",
    "TrainingError",
    "UnknownOpError",
    "UnsafeModuleError",
    "XlaError",
    "__version__",
    "add_signature",
    "apply_to_file",
    "archive",
    "attach_image_module_info",
    "attach_message",
    "audit_module",
    "cached_archive",
    "check_common_signature",
    "compile",
    "convert",
    "create_module_spec",
    "create_module_spec_from_saved_model",
    "eval_function_for_module",
    "get_expected_image_size",
    "get_num_image_channels",
    "image_embedding_column",
    "load",
    "load_module_spec",
    "publish_text_embedding",
    "register_module_for_export",
    "resolve",
    "sparse_text_embedding_column",
    "text_embedding_column",
    "text_embedding_column_v2",
    "text_to_bytes",
]

_old_names.install()

# For a type checker it would make every name an attribute.
if not typing.TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        return _old_names.find(name)


def __dir__() -> list[str]:
    return list(__all__)
