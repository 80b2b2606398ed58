"""load() while a TF1 graph is being built: what a session then finds there."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.signatures import composite_fn, publish_no_default

v1 = tf.compat.v1
KEYS = v1.GraphKeys


def names(collection):
    return [each.name for each in v1.get_collection(collection)]


def run(fetches):
    with v1.Session() as session:
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        return session.run(fetches)


class TestTF2SavedModel:
    """Ops, collections and values are those of the original library."""

    @pytest.fixture
    def path(self, tmp_path):
        (tmp_path / "vocab.txt").write_text("a\nb\nc\n")
        asset = str(tmp_path / "vocab.txt")
        initializer = tf.lookup.TextFileInitializer(
            asset,
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        )

        class Model(tf.Module):
            def __init__(self):
                self.v = tf.Variable([1.0, 2.0], name="v")
                self.table = tf.lookup.StaticHashTable(initializer, -1)
                self.vocabulary = tf.saved_model.Asset(asset)

            @tf.function(input_signature=[tf.TensorSpec([None, 2])])
            def __call__(self, x):
                return x * self.v

            @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
            def look(self, x):
                return {"ids": self.table.lookup(x), "path": self.vocabulary.asset_path}

        model = Model()
        signatures = {"serving_default": model.__call__, "look": model.look}
        tf.saved_model.save(model, tmp_path / "model", signatures)
        return tmp_path / "model"

    def test_works(self, path):
        with tf.Graph().as_default() as graph:
            module = hub.load(path)
            types = [op.type for op in graph.get_operations()]
            assert types == [
                *["Const", "Const", "Const", "VarHandleOp", "ReadVariableOp"],
                *["StatefulPartitionedCall", "Const", "Const", "Const", "RestoreV2", "Identity"],
                *["AssignVariableOp", "StatefulPartitionedCall"],
            ]
            assert names(KEYS.GLOBAL_VARIABLES) == ["v:0"]
            assert names(KEYS.TABLE_INITIALIZERS) == ["StatefulPartitionedCall_1:0"]
            assert names(KEYS.ASSET_FILEPATHS) == ["asset_path:0", "asset_path_1:0"]
            found = run(
                {
                    "called": module([[1.0, 1.0]]),
                    "signature": module.signatures["look"](x=tf.constant(["b"])),
                    "function": module.look(tf.constant(["c"])),
                    "variable": module.v,
                    "asset": module.vocabulary.asset_path,
                }
            )
        file = str(path / "assets" / "vocab.txt").encode()
        assert found["called"].tolist() == [[1.0, 2.0]]
        assert found["signature"] == {"ids": [1], "path": file}
        assert found["function"] == {"ids": [2], "path": file}
        assert found["variable"].tolist() == [1.0, 2.0]
        assert found["asset"] == file

    def test_safe_mode(self, tmp_path):
        class Reader(tf.Module):
            @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
            def __call__(self, path):
                return tf.io.read_file(path)

        tf.saved_model.save(Reader(), tmp_path)
        with tf.Graph().as_default(), pytest.raises(hub.UnsafeModuleError, match="ReadFile"):
            hub.load(tmp_path)


class TestTF1Module:
    def test_works(self, tmp_path):
        path = publish_no_default(tmp_path / "module")
        with tf.Graph().as_default():
            module = hub.load(path)
            trained = hub.load(path, tags=["train"])
            assert sorted(module.signatures) == ["info", "tokens"]
            found = run(
                {
                    "named": module.signatures["tokens"](default=tf.constant([[1.0, 2.0]])),
                    "bare": module.signatures["tokens"]([[2.0, 2.0]])["default"],
                    "info": module.signatures["info"](),
                    "trained": trained.signatures["info"]()["trained"],
                    "variables": list(module.variables),
                }
            )
            assert names(KEYS.TRAINABLE_VARIABLES) == []
            assert len(names(KEYS.GLOBAL_VARIABLES)) == 2
        assert found["named"]["default"].tolist() == [[3.0, 10.0]]
        assert found["bare"].tolist() == [[6.0, 10.0]]
        assert (found["info"], found["trained"]) == ({"size": 2, "trained": False}, True)
        assert [v.tolist() for v in found["variables"]] == [[3.0, 5.0]]

    def test_tables_and_assets(self, publish, tmp_path):
        (tmp_path / "vocab.txt").write_text("a\nb\nc\n")

        def table_fn():
            words = v1.placeholder(tf.string, [None])
            path = tf.constant(str(tmp_path / "vocab.txt"))
            v1.add_to_collection(KEYS.ASSET_FILEPATHS, path)
            initializer = tf.lookup.TextFileInitializer(
                path,
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            )
            table = tf.lookup.StaticHashTable(initializer, -1)
            hub.add_signature(inputs=words, outputs=table.lookup(words))
            hub.add_signature("info", {}, {"path": path, "size": table.size()})

        path = publish(table_fn)
        with tf.Graph().as_default():
            module = hub.load(path)
            ids = module.signatures["default"](tf.constant(["c", "x"]))["default"]
            ids, info = run([ids, module.signatures["info"]()])
        assert ids.tolist() == [2, -1]
        assert info["size"] == 3
        assert pathlib.Path(info["path"].decode()).is_relative_to(path)

    def test_sparse_and_ragged_inputs(self):
        with tf.Graph().as_default():
            signature = hub.load(hub.create_module_spec(composite_fn)).signatures["default"]
            sparse = tf.sparse.from_dense([[1.0, 0.0, 2.0]])
            ragged = tf.ragged.constant([[1, 2], [3]], dtype=tf.int64)
            components = {
                "a/b-c": [[1.0, 1.0]],
                "sp_indices": sparse.indices,
                "sp_values": sparse.values,
                "sp_dense_shape": sparse.dense_shape,
                "ra_component_0": ragged.flat_values,
                "ra_component_1": ragged.row_splits,
            }
            _, keywords = signature.structured_input_signature
            assert keywords["sp_values"] == tf.TensorSpec([None], tf.float32, "sp_values")
            assert keywords.keys() == {*components, "a_b_c"} - {"a/b-c"}
            assert signature.structured_outputs["count"] == tf.TensorSpec([], tf.int64)
            by_component = signature(**components)
            whole = signature(a_b_c=[[1.0, 1.0]], sp=sparse, ra=ragged)
            for found in run([by_component, whole]):
                assert (found["sum"], found["count"]) == (3.0, 6)
                assert found["ra"].to_list() == [[1, 2], [3]]
                assert found["sp"].values.tolist() == [1.0, 2.0]

    @pytest.mark.parametrize(
        ("args", "kwargs", "found"),
        [
            ((), {}, "none"),
            ((), {"other": 1.0}, "'other'"),
            ((1.0, 2.0), {}, "none and 2 without a keyword"),
            ((1.0,), {"default": 1.0}, "'default' and 1 without a keyword"),
        ],
    )
    def test_wrong_arguments(self, scale_spec, args, kwargs, found):
        with tf.Graph().as_default():
            signature = hub.load(scale_spec).signatures["default"]
            with pytest.raises(TypeError) as raised:
                signature(*args, **kwargs)
        assert isinstance(raised.value, hub.InputError)
        assert (raised.value.expected, raised.value.found) == ("the keywords 'default'", found)

    def test_no_such_signature(self, scale_spec):
        with tf.Graph().as_default(), pytest.raises(KeyError, match="has no signature 'other'"):
            hub.load(scale_spec).signatures["other"]

    def test_safe_mode(self):
        def reading_fn():
            path = v1.placeholder(tf.string, [])
            hub.add_signature(inputs=path, outputs=tf.io.read_file(path))

        spec = hub.create_module_spec(reading_fn)
        with tf.Graph().as_default():
            signatures = hub.load(spec).signatures
            with pytest.raises(hub.UnsafeModuleError, match="ReadFile"):
                signatures["default"]
            hub.load(spec, safe_mode=False).signatures["default"](tf.constant("/x"))

    @pytest.mark.parametrize(
        "waits", ["asset", "initial", "text_file_init/InitializeTableFromTextFileV2"]
    )
    def test_safe_mode_looks_at_all_that_a_session_runs(self, tmp_path, waits):
        """What an asset's path or an initializer waits for is in no signature."""
        (tmp_path / "words").write_text("a\n")

        def module_fn():
            tf.io.write_file(str(tmp_path / "written"), "x", name="write")
            path = tf.constant(str(tmp_path / "words"), name="asset")
            v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, path)
            initializer = tf.lookup.TextFileInitializer(
                path, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER,
            )  # fmt: skip
            table = tf.lookup.StaticHashTable(initializer, -1)
            words = v1.placeholder(tf.string, [None])
            v1.get_variable("v", initializer=tf.constant(1.0, name="initial"))
            hub.add_signature(inputs=words, outputs=table.lookup(words))

        spec = hub.create_module_spec(module_fn)
        (meta_graph,) = spec.files.saved_model.meta_graphs
        (node,) = (node for node in meta_graph.graph_def.node if node.name == waits)
        node.input.append("^write")
        with tf.Graph().as_default():
            with pytest.raises(hub.UnsafeModuleError, match=r"write \(WriteFile"):
                hub.load(spec).signatures["default"]
            signature = hub.load(spec, safe_mode=False).signatures["default"]
            assert run(signature(tf.constant(["a", "b"])))["default"].tolist() == [0, -1]
        assert (tmp_path / "written").exists()

    def test_moves_no_hub_module_to_another_scope(self, scale_spec):
        with tf.Graph().as_default():
            hub.load(scale_spec)
            (variable,) = hub.Module(scale_spec).variables
            assert variable.name == "module/scale:0"

    def test_in_a_function_of_that_graph(self, scale_spec):
        with tf.Graph().as_default():
            signature = hub.load(scale_spec).signatures["default"]
            data = tf.data.Dataset.from_tensors([[1.0, 2.0]]).map(lambda x: signature(x)["default"])
            iterator = v1.data.make_initializable_iterator(data)
            value = iterator.get_next()
            with v1.Session() as session:
                session.run(v1.global_variables_initializer())
                session.run(iterator.initializer)
                np.testing.assert_array_equal(session.run(value), [[3.0, 6.0]])
