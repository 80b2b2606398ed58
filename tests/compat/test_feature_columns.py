"""TensorFlow's classes of feature columns: subclasses are taken by both interfaces."""

import pytest
import tensorflow as tf
import tf_keras

from helpers.checks import Checks
from hub_keras_bridge.compat import feature_columns

v1 = tf.compat.v1
CHECKS = Checks(feature_columns)


@CHECKS.of("DenseColumn", "DenseColumnV2", "trains_columns")
def columns_of_both_interfaces():
    def column_of(base):
        class Column(base):
            name, parents, variable_shape = "ones", ["x"], tf.TensorShape([2])
            parse_example_spec = _parse_example_spec = None
            _variable_shape, _is_v2_column = variable_shape, True

            def _transform_feature(self, inputs):
                return inputs.get("x")

            def _get_dense_tensor(self, inputs, weight_collections=None, trainable=None):
                return inputs.get(self) + tf.ones([2])

            def transform_feature(self, transformation_cache, state_manager):
                return transformation_cache.get("x", state_manager)

            def create_state(self, state_manager):
                trained.append(feature_columns.trains_columns(state_manager))

            def get_dense_tensor(self, transformation_cache, state_manager):
                return transformation_cache.get(self, state_manager) + tf.ones([2])

            def get_config(self):
                return {}

            @classmethod
            def from_config(cls, config, custom_objects=None, columns_by_name=None):
                return cls()

        return Column()

    trained, x = [], tf.constant([[1.0], [2.0]])
    for base in (feature_columns.DenseColumn, feature_columns.DenseColumnV2):
        for trainable in (False, True):
            layer = tf_keras.layers.DenseFeatures([column_of(base)], trainable=trainable)
            assert layer({"x": x}).numpy().tolist() == [[2.0, 2.0], [3.0, 3.0]]
    assert trained == [False, True] * 2
    with tf.Graph().as_default(), v1.Session() as session:
        dense = v1.feature_column.input_layer(
            {"x": x.numpy()}, [column_of(feature_columns.DenseColumn)]
        )
        assert session.run(dense).tolist() == [[2.0, 2.0], [3.0, 3.0]]


def test_each_has_a_check():
    assert CHECKS.unchecked() == set()


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_still_does_what_it_says(name, tmp_path):
    CHECKS.run(name, tmp_path)
