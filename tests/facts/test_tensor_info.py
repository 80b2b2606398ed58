"""What a signature says of an input or output, as the original library shows it."""

import tensorflow as tf

import hub_keras_bridge as hub
from helpers.places import ZOO
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo


def test_surface_of_the_original_library():
    spec = hub.load_module_spec(str(ZOO / "sparse_ragged" / "module"))
    found = {
        name: (info.is_sparse, info.is_composite, info.is_supported_type, repr(info))
        for signature in spec.get_signature_names()
        for name, info in spec.get_input_info_dict(signature).items()
    }
    assert found == {
        "default": (
            True,
            True,
            True,
            "<hub.ParsedTensorInfo shape=(None, 9) dtype=float32 is_sparse=True>",
        ),
        "ids": (
            False,
            True,
            True,
            "<hub.ParsedTensorInfo type_spec="
            "RaggedTensorSpec(TensorShape([None, None]), tf.int64, 1, tf.int64)>",
        ),
    }


def test_shown_as_the_original_library_does():
    unknown = ParsedTensorInfo.from_type_spec(tf.TensorSpec(None, tf.string))
    assert repr({"x": unknown}) == (
        "{'x': <hub.ParsedTensorInfo shape=<unknown> dtype=string is_sparse=False>}"
    )
    assert str(unknown) == "string [unknown rank]"
    slices = ParsedTensorInfo.from_type_spec(tf.IndexedSlicesSpec([None], tf.float32))
    assert (slices.is_composite, slices.is_supported_type) == (True, False)
