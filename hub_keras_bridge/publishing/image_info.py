"""The message by which a publisher may declare the size of a module's images.

Key and field numbers are those of tensorflow/hub's ``image_module_info.proto``.
"""

from __future__ import annotations

from typing import Any

from hub_keras_bridge.files.protos import Field, define
from hub_keras_bridge.publishing.described import described
from hub_keras_bridge.publishing.module_fn import attach_message

IMAGE_MODULE_INFO_KEY = "image_module_info"

ImageModuleInfo = define(
    "image_module_info.proto",
    {
        "ImageModuleInfo": [Field("default_image_size", 1, "ImageModuleInfo.InputSize")],
        "ImageModuleInfo.InputSize": [Field("height", 1, "int32"), Field("width", 2, "int32")],
    },
)["ImageModuleInfo"]
# What protobuf leaves open of a class that it makes.
ImageModuleInfo.__module__ = __name__
ImageModuleInfo.__doc__ = """What a publisher declares of a module's images: a protobuf message.

``default_image_size`` has ``height`` and ``width``, in pixels (int32).

Example:

>>> info = ImageModuleInfo(default_image_size={"height": 224, "width": 160})
>>> info.default_image_size.width
160
"""


def attach_image_module_info(image_module_info: Any) -> None:
    """Declares the image size of the module that is being built.

    Called within a ``module_fn``.

    Args:
        image_module_info: an ``ImageModuleInfo``.

    Raises:
        PublishError: it is no message, or this is called outside a graph.

    Example:

    >>> import tensorflow as tf, hub_keras_bridge as hub
    >>> def module_fn():
    ...     images = tf.compat.v1.placeholder(tf.float32, [None, None, None, 3])
    ...     hub.add_signature(inputs={"images": images}, outputs=tf.reduce_mean(images, [1, 2]))
    ...     size = {"height": 224, "width": 160}
    ...     attach_image_module_info(ImageModuleInfo(default_image_size=size))
    >>> hub.get_expected_image_size(hub.create_module_spec(module_fn))
    [224, 160]
    """
    attach_message(IMAGE_MODULE_INFO_KEY, image_module_info)


def get_image_module_info(module_or_spec: Any, required: bool = False) -> Any:
    """The ``ImageModuleInfo`` that a publisher attached to a module.

    Args:
        module_or_spec: a ModuleSpec, a handle, a Module or a ModuleLayer; of the
            first two, the variant without tags is read, of the others the one in use.
        required: whether its absence is an error.

    Returns:
        The message, or None if there is none and it is not required.

    Raises:
        AttachmentError: it is required and absent.
        InputError: ``module_or_spec`` is none of these.

    Example:

    >>> import tensorflow as tf, hub_keras_bridge as hub
    >>> def module_fn():
    ...     images = tf.compat.v1.placeholder(tf.float32, [None, None, None, 3])
    ...     hub.add_signature(inputs={"images": images}, outputs=tf.reduce_mean(images, [1, 2]))
    ...     attach_image_module_info(ImageModuleInfo(default_image_size={"height": 224}))
    >>> get_image_module_info(hub.create_module_spec(module_fn)).default_image_size.height
    224
    """
    module = described(module_or_spec)
    return module.get_attached_message(IMAGE_MODULE_INFO_KEY, ImageModuleInfo, required=required)
