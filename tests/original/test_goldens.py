"""What the original library computed, this package computes."""

import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.comparing import assert_same, assert_tunes, tune
from helpers.golden import Golden, golden_names


@pytest.mark.parametrize("name", golden_names("apply"))
def test_apply(name):
    golden = Golden(name)
    for call in golden.calls():
        entry = golden.oracle["apply"][call]
        layer = hub.ModuleLayer(
            golden.path, tags=entry["tags"], signature=entry["signature"], as_dict=True
        )
        found = layer(golden.inputs(call))
        assert found.keys() == golden.outputs(call).keys()
        for key, expected in golden.outputs(call).items():
            assert_same(found[key], expected)


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize("name", golden_names("tune"))
def test_tune(name):
    golden = Golden(name)
    layer = hub.ModuleLayer(golden.path, trainable=True, training_tags=golden.tune["tags"])
    assert_tunes(layer, golden)

    assert len(layer.losses) == golden.tune["regularization_losses"]
    trainable = {v.name.replace(".", "/") for v in layer.trainable_weights}
    assert trainable == {n.removeprefix("module/") for n in golden.oracle["trainable"]}


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize("name", golden_names("tune"))
def test_export_after_tuning(name, tmp_path):
    """The module written after training reads back to the tuned numbers."""
    golden = Golden(name)
    layer = hub.ModuleLayer(golden.path, trainable=True, training_tags=golden.tune["tags"])
    tune(layer, golden)
    layer.export_module(tmp_path / "tuned")
    before, after = layer.spec, hub.load_module_spec(tmp_path / "tuned")
    assert set(after.get_tags()) == set(before.get_tags())
    for tags in before.get_tags():
        assert after.get_signature_names(tags) == before.get_signature_names(tags)
        assert after.variant(tags).attachments == before.variant(tags).attachments
    first_inputs, _ = next(golden.batches())
    assert_same(hub.ModuleLayer(tmp_path / "tuned")(first_inputs), golden.arrays["tune.eval"])


class TestSparseAndRagged:
    """This golden has no recorded outputs: NumPy computes them."""

    def test_sparse(self):
        layer = hub.ModuleLayer(Golden("sparse_ragged").path, trainable=True)
        sparse = tf.SparseTensor([[0, 1], [1, 8], [1, 0]], [2.0, 3.0, -1.0], [2, 9])
        (weight,) = layer.variable_map.values()
        with tf.GradientTape() as tape:
            found = layer(sparse)
        dense = tf.sparse.to_dense(tf.sparse.reorder(sparse)).numpy()
        assert_same(found, dense @ weight.numpy())
        gradient = tape.gradient(found, layer.trainable_weights[0])
        assert_same(tf.convert_to_tensor(gradient), dense.T @ np.ones((2, 4), np.float32))

    def test_ragged(self):
        layer = hub.ModuleLayer(Golden("sparse_ragged").path, signature="ragged", as_dict=True)
        found = layer(tf.ragged.constant([[1, 2, 3], [], [4]], dtype=tf.int64))
        assert isinstance(found["default"], tf.RaggedTensor)
        assert_same(found["sums"], np.array([6, 0, 4]))
        assert [len(row) for row in found["default"].to_list()] == [3, 0, 1]
        factor = found["default"].to_list()[2][0] / 4
        assert found["default"].to_list()[0] == [factor * i for i in (1, 2, 3)]

    def test_ragged_from_lists_and_int32_row_splits(self):
        layer = hub.ModuleLayer(Golden("sparse_ragged").path, signature="ragged", as_dict=True)
        from_list = layer([[5], [1, 1]])["sums"]
        narrow = tf.ragged.constant([[5], [1, 1]], dtype=tf.int32, row_splits_dtype=tf.int32)
        assert_same(from_list, np.array([5, 2]))
        assert_same(layer(narrow)["sums"], np.array([5, 2]))
