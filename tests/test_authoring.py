"""Publishing: what create_module_spec takes, refuses and writes."""

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import wrappers_pb2

import hub_keras_bridge as hub

v1 = tf.compat.v1


def identity_fn():
    x = v1.placeholder(tf.float32, [None])
    hub.add_signature(inputs=x, outputs=x)


def test_variables_are_resources_by_default(scale_spec):
    ops = {node.op for node in scale_spec.variant(None).published.graph_def.node}
    assert "VarHandleOp" in ops
    assert "VariableV2" not in ops


def test_random_initializers_follow_their_seed():
    def module_fn():
        x = v1.placeholder(tf.float32, [None, 3])
        w = v1.get_variable("w", [3, 2], initializer=v1.glorot_uniform_initializer(seed=1))
        hub.add_signature(inputs=x, outputs=x @ w)

    one, other = (hub.ModuleLayer(hub.create_module_spec(module_fn)) for _ in range(2))
    found = one(np.eye(3)).numpy()
    np.testing.assert_array_equal(found, other(np.eye(3)))
    assert 0 < np.abs(found).max() <= np.sqrt(6 / 5)


def test_composite_signatures(publish):
    def module_fn():
        sparse = v1.sparse_placeholder(tf.float32, [None, 3])
        hub.add_signature("sparse", inputs=sparse, outputs=sparse * 2.0)
        ragged = v1.ragged.placeholder(tf.int64, 1, value_shape=[])
        hub.add_signature("ragged", inputs={"r": ragged}, outputs=ragged + 1)

    path = publish_first_signature(publish, module_fn)
    doubled = hub.ModuleLayer(path, signature="sparse")(tf.sparse.from_dense([[1.0, 0, 2]]))
    assert tf.sparse.to_dense(doubled).numpy().tolist() == [[2, 0, 4]]
    more = hub.ModuleLayer(path, signature="ragged")(tf.ragged.constant([[1, 2], []], tf.int64))
    assert more.to_list() == [[2, 3], []]


def publish_first_signature(publish, module_fn):
    def with_default():
        module_fn()
        identity_fn()

    return publish(with_default)


class TestRefused:
    def test_outside_a_module_fn(self):
        with pytest.raises(RuntimeError, match="Cannot call add_signature") as caught:
            hub.add_signature(inputs=tf.constant(1.0), outputs=tf.constant(1.0))
        assert isinstance(caught.value, hub.PublishError)
        with pytest.raises(hub.PublishError, match="Cannot call attach_message"):
            hub.attach_message("key", wrappers_pb2.Int64Value(value=1))

    def test_tags_twice(self):
        with pytest.raises(hub.PublishError) as caught:
            hub.create_module_spec(identity_fn, [({"a"}, {}), (["a"], {})])
        assert "two variants have the same tags" in str(caught.value)
        assert "Found: {'a'} twice" in str(caught.value)

    def test_no_signature(self):
        with pytest.raises(hub.PublishError, match="defined no signature"):
            hub.create_module_spec(lambda: tf.constant(1.0))

    def test_signature_twice(self):
        def module_fn():
            identity_fn()
            identity_fn()

        with pytest.raises(hub.PublishError, match="'default' twice"):
            hub.create_module_spec(module_fn)

    @pytest.mark.parametrize("output", [1.0, np.zeros(2), None, [1], "text", object()])
    def test_output_that_is_no_tensor(self, output):
        def module_fn():
            x = v1.placeholder(tf.float32, [None])
            hub.add_signature(inputs=x, outputs={"a": output})

        with pytest.raises(TypeError, match="output 'a' is no tensor") as caught:
            hub.create_module_spec(module_fn)
        assert isinstance(caught.value, hub.HubError)

    def test_unsupported_collection_unless_dropped(self):
        def module_fn():
            identity_fn()
            v1.add_to_collection("my_things", tf.constant(1.0))

        with pytest.raises(hub.PublishError) as caught:
            hub.create_module_spec(module_fn)
        assert "Found: 'my_things'" in str(caught.value)
        assert "drop_collections=['my_things']" in str(caught.value)
        spec = hub.create_module_spec(module_fn, drop_collections=["my_things"])
        assert "my_things" not in spec.variant(None).published.collection_def

    @pytest.mark.parametrize("key", ["", "1a", "a-b", "a.b", "ä", "a\n"])
    def test_malformed_attachment_key(self, key):
        with tf.Graph().as_default(), pytest.raises(hub.PublishError, match="under the key"):
            hub.attach_message(key, wrappers_pb2.Int64Value(value=1))

    def test_asset_that_is_no_file(self):
        def module_fn():
            identity_fn()
            v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, tf.constant("/no/such/file"))

        with pytest.raises(hub.PublishError, match="Found: '/no/such/file'"):
            hub.create_module_spec(module_fn)


class TestAssets:
    def lookup_fn(self, *paths):
        x = v1.placeholder(tf.string, [None])
        outputs = {}
        for index, path in enumerate(paths):
            initializer = tf.lookup.TextFileInitializer(
                str(path),
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            )
            outputs[f"ids_{index}"] = tf.lookup.StaticHashTable(initializer, -1).lookup(x)
        hub.add_signature(inputs=x, outputs=outputs)

    def write(self, path, words):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(words) + "\n")
        return path

    def test_equal_base_names(self, tmp_path):
        one = self.write(tmp_path / "one" / "vocab.txt", ["a", "b"])
        other = self.write(tmp_path / "other" / "vocab.txt", ["b", "c", "a"])
        spec = hub.create_module_spec(lambda: self.lookup_fn(one, other))
        assert sorted(spec.files.assets) == ["vocab.txt", "vocab_1.txt"]
        spec.export(tmp_path / "m")
        one.unlink()
        other.unlink()
        found = hub.ModuleLayer(tmp_path / "m", as_dict=True)(["a", "b", "c", "d"])
        assert found["ids_0"].numpy().tolist() == [0, 1, -1, -1]
        assert found["ids_1"].numpy().tolist() == [2, 0, 1, -1]

    def test_same_file_twice_is_one_asset(self, tmp_path):
        path = self.write(tmp_path / "vocab.txt", ["a"])
        spec = hub.create_module_spec(lambda: self.lookup_fn(path, path))
        assert list(spec.files.assets) == ["vocab.txt"]

    def test_published_path_is_not_the_publishers(self, tmp_path):
        path = self.write(tmp_path / "vocab.txt", ["a"])
        spec = hub.create_module_spec(lambda: self.lookup_fn(path))
        ((tensor, name),) = spec.variant(None).assets.items()
        value = spec.variant(None).nodes[tensor.removesuffix(":0")].attr["value"].tensor
        # What the original library writes there, too.
        assert (name, list(value.string_val)) == ("vocab.txt", [b"SAVEDMODEL-ASSET"])

    def test_tables_of_equal_shared_name_stay_apart(self, tmp_path):
        """Both modules call their table by the same process-wide name."""
        layers = []
        for number, words in enumerate((["a", "b"], ["b", "a"])):
            path = self.write(tmp_path / str(number) / "vocab.txt", words)
            spec = hub.create_module_spec(lambda path=path: self.lookup_fn(path))
            for node in spec.files.saved_model.meta_graphs[0].graph_def.node:
                if "HashTable" in node.op:
                    node.attr["shared_name"].s = b"hash_table_vocab"
            layers.append(hub.ModuleLayer(spec, output_key="ids_0"))
        assert [layer(["a", "b"]).numpy().tolist() for layer in layers] == [[0, 1], [1, 0]]

    def test_tables_from_constants(self):
        def module_fn():
            x = v1.placeholder(tf.string, [None])
            initializer = tf.lookup.KeyValueTensorInitializer(
                tf.constant(["a", "b"]), tf.constant([10, 20], tf.int64)
            )
            hub.add_signature(
                inputs=x, outputs=tf.lookup.StaticHashTable(initializer, -1).lookup(x)
            )

        layer = hub.ModuleLayer(hub.create_module_spec(module_fn))
        assert layer(["b", "?", "a"]).numpy().tolist() == [20, -1, 10]


def test_default_attributes_are_stripped(scale_spec):
    (multiply,) = [
        n for n in scale_spec.variant(None).published.graph_def.node if n.op == "VarHandleOp"
    ]
    # Added in TensorFlow 2; with its default, an older reader need not know it.
    assert "allowed_devices" not in multiply.attr
