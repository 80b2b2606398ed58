"""Archives of modules: unpacked with distrust, packed into reproducible bytes.

A module travels as a tar or tar.gz file whose root is the module's folder.
"""

from hub_keras_bridge.files.archive.packing import pack
from hub_keras_bridge.files.archive.stream import DEFAULT_MAX_BYTES, MAX_BYTES_VARIABLE
from hub_keras_bridge.files.archive.unpacking import unpack

__all__ = ["DEFAULT_MAX_BYTES", "MAX_BYTES_VARIABLE", "pack", "unpack"]
