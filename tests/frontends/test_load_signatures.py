"""The signatures of what load() returns: names, keywords, and modules with no default one.

Keywords are those of the original library's ``hub.load(path).signatures``.
"""

import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.signatures import composite_fn, publish_no_default
from hub_keras_bridge.tools.convert.saved_model import to_saved_model
from hub_keras_bridge.tools.convert.tflite import to_tflite

v1 = tf.compat.v1

SPARSE = tf.sparse.from_dense([[1.0, 0.0, 2.0]])
RAGGED = tf.ragged.constant([[1, 2], [3]], dtype=tf.int64)
X = tf.constant([[1.0, 1.0]])
COMPONENTS = {
    "a/b-c": X,
    "sp_indices": SPARSE.indices,
    "sp_values": SPARSE.values,
    "sp_dense_shape": SPARSE.dense_shape,
    "ra_component_0": RAGGED.flat_values,
    "ra_component_1": RAGGED.row_splits,
}


@pytest.fixture
def composite():
    return hub.load(hub.create_module_spec(composite_fn))


def assert_computed(found):
    assert float(found["sum"]) == 3.0
    assert int(found["count"]) == 6
    np.testing.assert_array_equal(found["x"], [[1.0, 1.0]])


class TestKeywords:
    @pytest.mark.parametrize(
        "given",
        [
            COMPONENTS,
            {"a_b_c": X, **{k: v for k, v in COMPONENTS.items() if k != "a/b-c"}},
            {"a_b_c": X, "sp": SPARSE, "ra": RAGGED},
            {"a/b-c": X, "sp": [[1.0, 0.0, 2.0]], "ra": [[1, 2], [3]]},
            {"ra": RAGGED, **{k: v for k, v in COMPONENTS.items() if not k.startswith("ra")}},
        ],
        ids=["components", "plain", "whole", "lists", "mixed"],
    )
    def test_what_is_taken(self, composite, given):
        found = composite.signatures["default"](**given)
        assert_computed(found)
        np.testing.assert_array_equal(tf.sparse.to_dense(found["sp"]), [[1.0, 0.0, 2.0]])
        assert found["ra"].to_list() == [[1, 2], [3]]

    def test_what_tensorflow_tells(self, composite):
        function = composite.signatures["default"]
        assert isinstance(function, tf.types.experimental.ConcreteFunction)
        positional, keywords = function.structured_input_signature
        assert positional == ()
        assert keywords == {
            "a_b_c": tf.TensorSpec([None, 2], tf.float32, "a_b_c"),
            "ra_component_0": tf.TensorSpec([None], tf.int64, "ra_component_0"),
            "ra_component_1": tf.TensorSpec([None], tf.int64, "ra_component_1"),
            "sp_indices": tf.TensorSpec([None, 2], tf.int64, "sp_indices"),
            "sp_values": tf.TensorSpec([None], tf.float32, "sp_values"),
            "sp_dense_shape": tf.TensorSpec([2], tf.int64, "sp_dense_shape"),
        }
        assert {k: v.dtype for k, v in function.structured_outputs.items()} == {
            "sp": tf.float32,
            "ra": tf.int64,
            "x": tf.float32,
            "sum": tf.float32,
            "count": tf.int64,
        }

    def test_of_what_is_saved(self, composite, tmp_path):
        tf.saved_model.save(composite, tmp_path, composite.signatures)
        saved = tf.saved_model.load(tmp_path)
        given = {k.replace("a/b-c", "a_b_c"): v for k, v in COMPONENTS.items()}
        _, keywords = saved.signatures["default"].structured_input_signature
        assert keywords.keys() == given.keys()
        assert_computed(saved.signatures["default"](**given))

    def test_a_name_that_is_taken(self):
        """The component of one input is called as another input is."""

        def clashing_fn():
            sp = v1.sparse_placeholder(tf.float32, [None, 3])
            x = v1.placeholder(tf.float32, [])
            inputs = {"sp": sp, "sp_values": x}
            hub.add_signature(inputs=inputs, outputs=tf.sparse.reduce_sum(sp) * x)

        signature = hub.load(hub.create_module_spec(clashing_fn)).signatures["default"]
        found = signature(sp=SPARSE, sp_values_1=tf.constant(5.0))
        assert float(found["default"]) == 15.0

    def test_the_only_input_needs_none(self, scale_spec):
        found = hub.load(scale_spec).signatures["default"](tf.constant([[1.0, 2.0]]))
        np.testing.assert_array_equal(found["default"], [[3.0, 6.0]])

    def test_wrong_ones(self, composite, scale_spec):
        """A TypeError as of any Python function, and as the original's."""
        with pytest.raises(TypeError, match="missing a required argument: 'ra_component_0'"):
            composite.signatures["default"](a_b_c=X, sp=SPARSE)
        with pytest.raises(TypeError, match="'other'"):
            hub.load(scale_spec).signatures["default"](other=tf.constant([[1.0, 2.0]]))

    def test_a_value_that_does_not_fit(self, composite):
        with pytest.raises(hub.InputError, match=r"input 'ra'(?s:.*)Found: SparseTensor"):
            composite.signatures["default"](a_b_c=X, sp=SPARSE, ra=SPARSE)


class TestWithoutADefaultSignature:
    @pytest.fixture
    def path(self, tmp_path):
        return publish_no_default(tmp_path / "module")

    def test_loads(self, path):
        module = hub.load(path)
        assert sorted(module.signatures) == ["info", "tokens"]
        found = module.signatures["tokens"](tf.constant([[1.0, 2.0]]))
        np.testing.assert_array_equal(found["default"], [[3.0, 10.0]])
        found = module.signatures["info"]()
        assert (int(found["size"]), bool(found["trained"])) == (2, False)
        assert [v.name for v in module.variables] == ["scale:0"]
        assert [v.name for v in module.trainable_variables] == ["scale:0"]
        assert module.regularization_losses == []

    @pytest.mark.parametrize("tags", ["train", ["train"], {"train"}])
    def test_tags(self, path, tags):
        assert bool(hub.load(path, tags).signatures["info"]()["trained"])
        assert bool(hub.load(path, tags=tags).signatures["info"]()["trained"])

    def test_there_is_nothing_to_call(self, path):
        with pytest.raises(hub.SignatureError) as raised:
            hub.load(path)([[1.0, 2.0]])
        assert str(raised.value) == (
            "Cannot call a TF1 Hub module without a signature 'default'.\n"
            f"  In: module {path!r}\n"
            "  Expected: one of its signatures, 'info', 'tokens'\n"
            "  Found: none named\n"
            "  What to do: call module.signatures[...] with a name from this list, or load the "
            "module with signature=..."
        )

    def test_a_signature_that_is_named(self, path):
        module = hub.load(path, signature="tokens")
        np.testing.assert_array_equal(module([[1.0, 2.0]]), [[3.0, 10.0]])
        assert [float(loss()) for loss in module.regularization_losses] == [8.0]

    def test_is_saved(self, path, tmp_path):
        module = hub.load(path)
        tf.saved_model.save(module, tmp_path, module.signatures)
        saved = tf.saved_model.load(tmp_path)
        assert not callable(saved)
        found = saved.signatures["tokens"](tf.constant([[1.0, 2.0]]))
        np.testing.assert_array_equal(found["default"], [[3.0, 10.0]])

    @pytest.mark.parametrize("convert", [to_saved_model, to_tflite])
    def test_what_is_converted_has_a_call(self, path, convert, tmp_path):
        with pytest.raises(hub.SignatureError, match="has no signature 'default'"):
            convert(path, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_a_tf1_saved_model_that_serves_nothing(tmp_path):
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None])
        builder = v1.saved_model.Builder(str(tmp_path / "model"))
        signature = v1.saved_model.predict_signature_def({"x": x}, {"y": 2.0 * x})
        builder.add_meta_graph_and_variables(session, ["serve"], {"a": signature, "b": signature})
        builder.save()
    module = hub.load(tmp_path / "model")
    found = module.signatures["b"](tf.constant([3.0]))
    np.testing.assert_array_equal(found["y"], [6.0])
    with pytest.raises(hub.SignatureError, match="'a', 'b'"):
        module([3.0])


class TestOptions:
    def test_of_a_tf1_module_change_nothing(self, scale_path):
        options = tf.saved_model.LoadOptions(
            allow_partial_checkpoint=True,
            experimental_io_device="/job:localhost",
            experimental_skip_checkpoint=True,
        )
        module = hub.load(scale_path, None, options)
        np.testing.assert_array_equal(module([[1.0, 2.0]]), [[3.0, 6.0]])

    def test_of_a_tf2_saved_model_are_tensorflows(self, tmp_path):
        module = tf.Module()
        module.v = tf.Variable([1.0, 2.0])
        module.f = tf.function(lambda: module.v + 0.0, input_signature=[])
        tf.saved_model.save(module, tmp_path, {"f": module.f})
        options = tf.saved_model.LoadOptions(experimental_skip_checkpoint=True)
        assert hub.load(tmp_path, options=options).variables[0].numpy().size == 0
        assert hub.load(tmp_path).variables[0].numpy().tolist() == [1.0, 2.0]
