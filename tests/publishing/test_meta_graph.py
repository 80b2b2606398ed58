"""What a published graph has in it: assets by their names, no attribute by default."""

import pytest
import tensorflow as tf

import hub_keras_bridge as hub

v1 = tf.compat.v1


def identity_fn():
    x = v1.placeholder(tf.float32, [None])
    hub.add_signature(inputs=x, outputs=x)


class TestRefused:
    def test_asset_that_is_no_path(self):
        def module_fn():
            identity_fn()
            path = v1.placeholder_with_default("/no/such/file", [])
            v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, path)

        with pytest.raises(hub.PublishError, match="Found: an op of type PlaceholderWithDefault"):
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

    def test_file_that_comes_later(self, tmp_path):
        path = tmp_path / "vocab.txt"
        spec = hub.create_module_spec(lambda: self.lookup_fn(path))
        with pytest.raises(hub.ExportError, match=r"its asset 'vocab\.txt' is missing") as caught:
            spec.export(tmp_path / "m")
        assert caught.value.expected == f"the file {path}"
        assert caught.value.advice.startswith("put the file there;")
        self.write(path, ["a", "b"])
        spec.export(tmp_path / "m")
        path.unlink()
        assert hub.ModuleLayer(tmp_path / "m", output_key="ids_0")(["b"]).numpy().tolist() == [1]

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
