"""Publishing from a TF1 SavedModel: what is taken over, changed and refused."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

import hub_keras_bridge as hub
from hub_keras_bridge.publishing.from_saved_model import create_module_spec_from_saved_model

v1 = tf.compat.v1

WEIGHTS = [[1.0, 2.0], [3.0, 4.0]]
SERVE = {"serve"}


class Saved:
    """A SavedModel of a product with a weight, and a table from a vocabulary."""

    def __init__(self, folder, use_resource=True, init="main_op", listed=True, collections=()):
        self.path = folder / "saved_model"
        vocabulary = folder / "vocab.txt"
        vocabulary.write_text("a\nb\n")
        with (
            tf.Graph().as_default(),
            v1.variable_scope("", use_resource=use_resource),
            v1.Session() as session,
        ):
            x = v1.placeholder(tf.float32, [None, 2])
            words = v1.placeholder(tf.string, [None])
            initializer = tf.lookup.TextFileInitializer(
                str(vocabulary),
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            )
            outputs = {
                "y": x @ v1.get_variable("w", initializer=tf.zeros([2, 2])),
                "ids": tf.lookup.StaticHashTable(initializer, -1).lookup(words),
            }
            session.run([v1.global_variables_initializer(), v1.tables_initializer()])
            session.run(v1.assign(v1.global_variables()[0], WEIGHTS))
            init_op = v1.tables_initializer()
            if not listed:
                v1.get_default_graph().clear_collection("table_initializer")
            for collection in collections:
                v1.add_to_collection(collection, x)
            define = v1.saved_model.predict_signature_def
            builder = v1.saved_model.Builder(str(self.path))
            builder.add_meta_graph_and_variables(
                session,
                ["serve"],
                signature_def_map={
                    "serving_default": define({"x": x}, {"y": outputs["y"]}),
                    "lookup": define({"words": words}, {"ids": outputs["ids"]}),
                },
                assets_collection=v1.get_collection("asset_filepaths"),
                **({init: init_op} if init else {}),
            )
            builder.save()
        # Only the copy within the SavedModel is to count.
        vocabulary.unlink()

    def rewrite(self, change):
        """Applies a change to the one graph on disk."""
        file = self.path / "saved_model.pb"
        proto = saved_model_pb2.SavedModel.FromString(file.read_bytes())
        change(proto.meta_graphs[0])
        file.write_bytes(proto.SerializeToString())


def run(handle, signature, output, value):
    layer = hub.ModuleLayer(handle, tags=SERVE, signature=signature, output_key=output)
    return layer(value).numpy().tolist()


def check_outputs(handle):
    assert run(handle, "serving_default", "y", [[1.0, 1.0]]) == [[4.0, 6.0]]
    assert run(handle, "lookup", "ids", ["b", "?"]) == [1, -1]


@pytest.mark.parametrize("use_resource", [True, False], ids=["resource", "reference"])
@pytest.mark.parametrize("init", ["main_op", "legacy_init_op", None])
def test_runs_and_exports(tmp_path, use_resource, init):
    saved = Saved(tmp_path, use_resource, init)
    spec = create_module_spec_from_saved_model(saved.path)
    check_outputs(spec)
    spec.export(str(tmp_path / "module"))
    saved.path.rename(tmp_path / "gone")
    check_outputs(tmp_path / "module")


def test_path_in_bytes(tmp_path):
    check_outputs(create_module_spec_from_saved_model(bytes(Saved(tmp_path).path)))


def test_what_training_left_is_left_out(tmp_path):
    def change(meta_graph):
        meta_graph.collection_def["global_step"].bytes_list.value.append(b"of a variable")

    saved = Saved(tmp_path)
    saved.rewrite(change)
    spec = create_module_spec_from_saved_model(saved.path)
    assert "global_step" not in spec.variant(SERVE).published.collection_def
    check_outputs(spec)


def test_tags_and_signatures_stay_as_they_are(tmp_path):
    spec = create_module_spec_from_saved_model(str(Saved(tmp_path).path))
    assert spec.get_tags() == [frozenset(SERVE)]
    assert spec.get_signature_names(SERVE) == ["lookup", "serving_default"]


@pytest.mark.parametrize("use_resource", [True, False], ids=["resource", "reference"])
def test_fine_tuning_from_the_saved_values(tmp_path, use_resource):
    spec = create_module_spec_from_saved_model(Saved(tmp_path, use_resource).path)
    layer = hub.ModuleLayer(
        spec, tags=SERVE, signature="serving_default", output_key="y", trainable=True
    )
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer([[1.0, 10.0]], training=True))
    (gradient,) = tape.gradient(loss, layer.trainable_weights)
    np.testing.assert_array_equal(gradient, [[1, 1], [10, 10]])
    layer.trainable_weights[0].assign_sub(gradient)
    layer.export_module(tmp_path / "tuned")
    assert run(tmp_path / "tuned", "serving_default", "y", np.eye(2)) == [[0, 1], [-7, -6]]


def test_partitioned_variables(tmp_path):
    path = str(tmp_path / "saved_model")
    with tf.Graph().as_default(), v1.Session() as session:
        ids = v1.placeholder(tf.int64, [None])
        partitioner = v1.fixed_size_partitioner(2)
        parts = list(v1.get_variable("emb", [6, 2], partitioner=partitioner))
        values = np.arange(12.0).reshape(6, 2)
        found = v1.nn.embedding_lookup(parts, ids, partition_strategy="div")
        session.run([v1.assign(parts[0], values[:3]), v1.assign(parts[1], values[3:])])
        v1.saved_model.simple_save(session, path, {"ids": ids}, {"vectors": found})
    spec = create_module_spec_from_saved_model(path)
    spec.export(str(tmp_path / "module"))
    for handle in (spec, tmp_path / "module"):
        assert run(handle, "serving_default", "vectors", [5, 0]) == [[10, 11], [0, 1]]


def test_two_graphs_are_two_variants(tmp_path):
    path = str(tmp_path / "saved_model")
    builder = v1.saved_model.Builder(path)
    for tags, factor in ((["serve"], 1.0), (["train", "x"], 10.0)):
        with tf.Graph().as_default(), v1.Session() as session:
            x = v1.placeholder(tf.float32, [None])
            w = v1.get_variable("w", initializer=3.0)
            define = v1.saved_model.predict_signature_def
            signatures = {"serving_default": define({"x": x}, {"y": x * w * factor})}
            if tags == ["serve"]:
                session.run(v1.global_variables_initializer())
                builder.add_meta_graph_and_variables(session, tags, signatures)
            else:
                builder.add_meta_graph(tags, signatures)
    builder.save()
    spec = create_module_spec_from_saved_model(path)
    assert set(spec.get_tags()) == {frozenset({"serve"}), frozenset({"train", "x"})}
    layer = hub.ModuleLayer(spec, tags={"x", "train"}, signature="serving_default", output_key="y")
    assert layer([1.0]).numpy().tolist() == [30.0]


def test_without_variables(tmp_path):
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None])
        v1.saved_model.simple_save(session, str(tmp_path / "s"), {"x": x}, {"y": x + 1})
    spec = create_module_spec_from_saved_model(tmp_path / "s")
    assert run(spec, "serving_default", "y", [1.0]) == [2.0]
    spec.export(str(tmp_path / "module"))
    assert not (tmp_path / "module" / "variables").exists()


class TestWhatAModuleDoesNotHave:
    @pytest.mark.parametrize("init", ["main_op", "legacy_init_op"])
    def test_init_op_is_left_out(self, tmp_path, init):
        spec = create_module_spec_from_saved_model(Saved(tmp_path, init=init).path)
        (meta_graph,) = spec.files.saved_model.meta_graphs
        assert sorted(meta_graph.collection_def) == [
            "asset_filepaths",
            "saved_model_assets",
            "table_initializer",
            "trainable_variables",
            "variables",
        ]

    @pytest.mark.parametrize("as_signature", [False, True])
    def test_tables_that_only_the_init_op_knew(self, tmp_path, as_signature):
        """Later writers name the init op by a signature instead of a collection."""
        saved = Saved(tmp_path, listed=False)

        def move(meta_graph):
            assert "table_initializer" not in meta_graph.collection_def
            (name,) = meta_graph.collection_def["saved_model_main_op"].node_list.value
            del meta_graph.collection_def["saved_model_main_op"]
            key = "__saved_model_init_op"
            meta_graph.signature_def[key].outputs[key].name = name

        if as_signature:
            saved.rewrite(move)
        spec = create_module_spec_from_saved_model(saved.path)
        (initializer,) = spec.variant(SERVE).table_initializers
        assert spec.variant(SERVE).nodes[initializer].op == "InitializeTableFromTextFileV2"
        assert spec.get_signature_names(SERVE) == ["lookup", "serving_default"]
        check_outputs(spec)

    def test_listed_tables_are_not_listed_twice(self, tmp_path):
        spec = create_module_spec_from_saved_model(Saved(tmp_path).path)
        (meta_graph,) = spec.files.saved_model.meta_graphs
        assert len(meta_graph.collection_def["table_initializer"].node_list.value) == 1

    def test_assets_outside_the_collection(self, tmp_path):
        saved = Saved(tmp_path)

        def move(meta_graph):
            (packed,) = meta_graph.collection_def["saved_model_assets"].any_list.value
            packed.Unpack(meta_graph.asset_file_def.add())
            del meta_graph.collection_def["saved_model_assets"]

        saved.rewrite(move)
        spec = create_module_spec_from_saved_model(saved.path)
        assert list(spec.files.assets) == ["vocab.txt"]
        assert not spec.files.saved_model.meta_graphs[0].asset_file_def
        check_outputs(spec)

    def test_the_writers_path(self, tmp_path):
        spec = create_module_spec_from_saved_model(Saved(tmp_path).path)
        ((tensor, name),) = spec.variant(SERVE).assets.items()
        value = spec.variant(SERVE).nodes[tensor.removesuffix(":0")].attr["value"].tensor
        assert (name, list(value.string_val)) == ("vocab.txt", [b"SAVEDMODEL-ASSET"])


class TestRefused:
    def test_unsupported_collection_unless_dropped(self, tmp_path):
        saved = Saved(tmp_path, collections=["losses", "summaries"])
        with pytest.raises(hub.PublishError) as caught:
            create_module_spec_from_saved_model(saved.path)
        assert "Found: 'losses', 'summaries'" in str(caught.value)
        assert "tags {'serve'}" in str(caught.value)
        check_outputs(create_module_spec_from_saved_model(saved.path, ["losses", "summaries"]))

    def test_no_such_directory(self, tmp_path):
        with pytest.raises(hub.HandleError, match="no such directory"):
            create_module_spec_from_saved_model(tmp_path / "nowhere")

    def test_tf2_saved_model(self, tmp_path):
        tf.saved_model.save(tf.Module(), str(tmp_path))
        with pytest.raises(hub.FormatError, match=r"of a TF2 SavedModel[^$]*hub.ModuleLayer"):
            create_module_spec_from_saved_model(tmp_path)

    def test_no_saved_model(self, tmp_path):
        (tmp_path / "saved_model.pbtxt").touch()
        with pytest.raises(hub.FormatError, match=r"Found: saved_model\.pbtxt"):
            create_module_spec_from_saved_model(tmp_path)

    @pytest.mark.parametrize(
        ("content", "problem"), [(b"\xff\xff", "is damaged"), (b"", "no graph in it")]
    )
    def test_damaged(self, tmp_path, content, problem):
        (tmp_path / "saved_model.pb").write_bytes(content)
        with pytest.raises(hub.FormatError, match=problem):
            create_module_spec_from_saved_model(tmp_path)

    def test_missing_asset(self, tmp_path):
        saved = Saved(tmp_path)
        (saved.path / "assets" / "vocab.txt").unlink()
        with pytest.raises(hub.FormatError, match=r"asset 'vocab\.txt' is missing"):
            create_module_spec_from_saved_model(saved.path)

    def test_asset_that_leads_outside(self, tmp_path):
        saved = Saved(tmp_path)

        def lead_outside(meta_graph):
            (packed,) = meta_graph.collection_def["saved_model_assets"].any_list.value
            entry = meta_graph_pb2.AssetFileDef()
            packed.Unpack(entry)
            entry.filename = "../../secret"
            packed.Pack(entry)

        saved.rewrite(lead_outside)
        with pytest.raises(hub.FormatError, match="leads outside"):
            create_module_spec_from_saved_model(saved.path)

    def test_variables_without_values(self, tmp_path):
        """Nor are initializers run in their place: nobody looked at what these do."""
        saved = Saved(tmp_path)
        (saved.path / "variables" / "variables.index").unlink()
        with pytest.raises(hub.CheckpointError, match="values of its variables are missing"):
            create_module_spec_from_saved_model(saved.path)
