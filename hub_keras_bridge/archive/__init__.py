"""Archives of modules: unpacked with distrust, packed into reproducible bytes.

A module travels as a tar or tar.gz file whose root is the module's folder.
"""

from hub_keras_bridge.archive.reading import unpack
from hub_keras_bridge.archive.source import DEFAULT_MAX_BYTES, MAX_BYTES_VARIABLE
from hub_keras_bridge.archive.writing import pack

__all__ = ["DEFAULT_MAX_BYTES", "MAX_BYTES_VARIABLE", "pack", "unpack"]
