"""Inputs and outputs as a signature's protos have them."""

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

import hub_keras_bridge as hub
from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.facts.tensor_protos import build_tensor_info, parse_tensor_info


def test_protos_round_trip():
    with tf.Graph().as_default():
        placeholder = tf.compat.v1.placeholder
        for value in (
            placeholder(tf.float32, [None, 3], name="dense"),
            tf.compat.v1.sparse_placeholder(tf.int64, [None, 4]),
            tf.compat.v1.ragged.placeholder(tf.string, 2),
        ):
            parsed = parse_tensor_info(build_tensor_info(value))
            assert parsed.type_spec.is_compatible_with(tf.type_spec_from_value(value))
            names = [t.name for t in tf.nest.flatten(value, expand_composites=True)]
            assert list(parsed.tensor_names) == names


def test_kinds_that_no_signature_may_have():
    spec = tf.IndexedSlicesSpec([None], tf.float32)
    proto = meta_graph_pb2.TensorInfo()
    proto.composite_tensor.type_spec.CopyFrom(private_tf.encode_type_spec(spec))
    with pytest.raises(hub.FormatError, match="Found: IndexedSlices") as caught:
        parse_tensor_info(proto)
    assert "dense, sparse or ragged" in caught.value.expected
