"""The size of image that a module expects: declared, or from its input's shape."""

import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from hub_keras_bridge.publishing.expected_images import (
    get_expected_image_size,
    get_num_image_channels,
)
from hub_keras_bridge.publishing.image_info import (
    IMAGE_MODULE_INFO_KEY,
    ImageModuleInfo,
    attach_image_module_info,
    get_image_module_info,
)


def images_spec(shape, size=None, name="images", signature=None):
    """A module with one input of this shape, and a size attached if given."""

    def module_fn(shape=shape, size=size):
        images = tf.compat.v1.placeholder(tf.float32, shape)
        hub.add_signature(signature, {name: images}, tf.identity(images))
        if size is not None:
            attach_image_module_info(ImageModuleInfo(default_image_size=size))

    return hub.create_module_spec(module_fn)


FREE = [None, None, None, None]


# What tensorflow-hub 0.15 answers to the same modules.
@pytest.mark.parametrize(
    ("spec", "asked", "size", "channels"),
    [
        ({"shape": [None, 5, 6, 3]}, {}, [5, 6], 3),
        ({"shape": [None, None, None, 3], "size": {"height": 7, "width": 8}}, {}, [7, 8], 3),
        ({"shape": [None, 5, 6, 3], "size": {"height": 7, "width": 8}}, {}, [7, 8], 3),
        ({"shape": [None, 5, 6, 3], "size": {"height": 7}}, {}, [5, 6], 3),
        ({"shape": [None, 5, 6, 1], "size": {}}, {}, [5, 6], 1),
        ({"shape": [None, 5, 6, 3], "name": "x"}, {"input_name": "x"}, [5, 6], 3),
        ({"shape": [None, 5, 6, 4], "signature": "s"}, {"signature": "s"}, [5, 6], 4),
    ],
)
def test_answers(spec, asked, size, channels):
    spec = images_spec(**spec)
    assert get_expected_image_size(spec, **asked) == size
    assert get_num_image_channels(spec, **asked) == channels


def test_the_message_itself():
    spec, without = images_spec(FREE, {"height": 7, "width": 8}), images_spec(FREE)
    with tf.Graph().as_default():
        for module in (spec, hub.Module(spec), hub.ModuleLayer(spec)):
            size = get_image_module_info(module, required=True).default_image_size
            assert (size.height, size.width) == (7, 8)
    assert get_image_module_info(without) is None
    with pytest.raises(KeyError, match="No message is attached"):
        get_image_module_info(without, required=True)


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({"shape": [None, None, 6, 3]}, "[?, ?, 6, 3]"),
        ({"shape": [None, None, 6, 3], "size": {}}, "[?, ?, 6, 3]"),
        ({"shape": [None, 5, None, 3]}, "[?, 5, ?, 3]"),
        ({"shape": [5, 6, 3]}, "[5, 6, 3]"),
        ({"shape": None}, "[unknown rank]"),
    ],
)
def test_unknown_size(spec, found):
    with pytest.raises(hub.FormatError) as caught:
        get_expected_image_size(images_spec(**spec))
    assert caught.value.found == f"shape {found}"
    assert caught.value.subject.signature == "default"
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("shape", [FREE, [5, 6, 3], None])
def test_unknown_channels(shape):
    with pytest.raises(hub.FormatError, match="Cannot tell which images"):
        get_num_image_channels(images_spec(shape))


def test_declared_size_does_not_tell_channels():
    with pytest.raises(hub.FormatError, match="number of channels"):
        get_num_image_channels(images_spec(FREE, size={"height": 7, "width": 8}))


@pytest.mark.parametrize("ask", [get_expected_image_size, get_num_image_channels])
def test_no_such_input(ask):
    with pytest.raises(hub.SignatureError) as caught:
        ask(images_spec([None, 5, 6, 3], name="pixels"))
    assert caught.value.expected == "one of 'pixels'"
    assert caught.value.found == "'images'"
    with pytest.raises(hub.SignatureError, match="no signature 'other'"):
        ask(images_spec([None, 5, 6, 3]), "other")


def test_attached_by_the_original_library(golden):
    spec = hub.load_module_spec(golden("convnet").path)
    info = spec.get_attached_message(IMAGE_MODULE_INFO_KEY, ImageModuleInfo, required=True)
    size = [info.default_image_size.height, info.default_image_size.width]
    assert size == get_expected_image_size(spec) == [32, 32]
    assert get_num_image_channels(spec) == 3


def test_bytes_of_the_message():
    """Field numbers are those of tensorflow/hub: 1, and in it 1 and 2."""
    message = ImageModuleInfo(default_image_size={"height": 7, "width": 8})
    assert message.SerializeToString() == b"\x0a\x04\x08\x07\x10\x08"


def two_sizes(height):
    images = tf.compat.v1.placeholder(tf.float32, [None, None, None, 3])
    hub.add_signature(inputs={"images": images}, outputs=tf.reduce_mean(images, [1, 2]))
    attach_image_module_info(ImageModuleInfo(default_image_size={"height": height, "width": 9}))


def test_layer_answers_for_the_variant_it_runs():
    spec = hub.create_module_spec(two_sizes, [(set(), {"height": 4}), ({"big"}, {"height": 40})])
    assert get_expected_image_size(spec) == [4, 9]
    assert get_expected_image_size(hub.ModuleLayer(spec)) == [4, 9]
    assert get_expected_image_size(hub.ModuleLayer(spec, tags={"big"})) == [40, 9]
    assert get_num_image_channels(hub.ModuleLayer(spec, tags={"big"})) == 3


class FakeModule:
    """The two methods of a TF1 graph-mode Module, for one of its variants."""

    def __init__(self, spec, tags):
        self._spec, self._tags = spec, tags

    def get_input_info_dict(self, signature=None):
        return self._spec.get_input_info_dict(signature, self._tags)

    def get_attached_message(self, key, message_type, required=False):
        return self._spec.get_attached_message(key, message_type, self._tags, required)


def test_module():
    spec = hub.create_module_spec(two_sizes, [({"big"}, {"height": 40})])
    module = FakeModule(spec, {"big"})
    assert get_expected_image_size(module) == [40, 9]
    assert get_num_image_channels(module) == 3
    with pytest.raises(hub.SignatureError, match="no input 'x'"):
        get_num_image_channels(module, input_name="x")


def test_handle(tmp_path):
    path = tmp_path / "module"
    hub.create_module_spec(two_sizes, [(set(), {"height": 4})]).export(path)
    assert get_expected_image_size(path) == get_expected_image_size(str(path)) == [4, 9]


def test_what_is_no_module():
    with pytest.raises(hub.InputError, match="Cannot tell which images") as caught:
        get_num_image_channels(3)
    assert "Found: int: 3" in str(caught.value)


def test_attaching_outside_a_module_fn():
    with pytest.raises(hub.PublishError, match="no TF1 Hub module is being built"):
        attach_image_module_info(ImageModuleInfo())
