"""The message by which a publisher may declare the size of a module's images.

Key and field numbers are those of tensorflow/hub's ``image_module_info.proto``.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from hub_keras_bridge.publishing.described import described
from hub_keras_bridge.publishing.module_fn import attach_message

IMAGE_MODULE_INFO_KEY = "image_module_info"

_FIELDS = descriptor_pb2.FieldDescriptorProto


def _define_message() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="hub_keras_bridge/image_module_info.proto", package="hub_keras_bridge", syntax="proto3"
    )
    info = file.message_type.add(name="ImageModuleInfo")
    size = info.nested_type.add(name="InputSize")
    for number, name in enumerate(("height", "width"), start=1):
        size.field.add(
            name=name, number=number, type=_FIELDS.TYPE_INT32, label=_FIELDS.LABEL_OPTIONAL
        )
    info.field.add(
        name="default_image_size",
        number=1,
        type=_FIELDS.TYPE_MESSAGE,
        type_name=".hub_keras_bridge.ImageModuleInfo.InputSize",
        label=_FIELDS.LABEL_OPTIONAL,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(
        pool.FindMessageTypeByName("hub_keras_bridge.ImageModuleInfo")
    )


ImageModuleInfo = _define_message()
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
