"""load of TF1 SavedModels: whatever training left in them, they compute what a session does."""

import tarfile

import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.comparing import assert_same
from helpers.tf1_saved_models import (
    X,
    add_unknown_collections,
    in_session,
    of_tags,
    signature,
    trained,
    tuned_in_session,
)

v1 = tf.compat.v1


def outputs(module, name, **inputs):
    found = module.signatures[name](**{key: tf.constant(v) for key, v in inputs.items()})
    return {key: value.numpy() for key, value in found.items()}


def assert_all_same(found, expected):
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert_same(found[key], value)


def save(session, folder, signatures, **kwargs):
    builder = v1.saved_model.Builder(str(folder))
    builder.add_meta_graph_and_variables(session, ["serve"], signatures, **kwargs)
    builder.save()
    return str(folder)


@pytest.mark.parametrize("use_resource", [True, False], ids=["resource", "reference"])
@pytest.mark.parametrize("init", [None, "main_op", "legacy_init_op"])
def test_what_training_left(tmp_path, use_resource, init):
    folder = trained(tmp_path / "saved", use_resource, init)
    expected = {name: in_session(folder, name, {"x": X}) for name in ("serving_default", "both")}
    reference = tf.saved_model.load(folder)
    # Those of the graph that are global: no signature needs the counters of a metric.
    _, variables = tuned_in_session(folder, {"x": X}, X[:, :1], steps=0, rate=0.0)
    assert len(variables) == 10
    add_unknown_collections(folder)
    module = hub.load(folder)
    assert sorted(module.signatures) == sorted(reference.signatures)
    for name, values in expected.items():
        assert_all_same(outputs(module, name, x=X), values)
    assert_same(module(X)["score"], expected["serving_default"]["score"])
    assert_all_same({v.name.removesuffix(":0"): v for v in module.variables}, variables)
    trainable = [v.name for v in module.trainable_variables]
    assert trainable == ["dense/kernel:0", "dense/bias:0"]
    assert len(module.regularization_losses) == 1
    assert not module._is_hub_module_v1


def test_saved_again(tmp_path):
    module = hub.load(trained(tmp_path / "saved"))
    tf.saved_model.save(module, str(tmp_path / "tf2"), signatures=module.signatures)
    again = tf.saved_model.load(str(tmp_path / "tf2"))
    assert_all_same(outputs(again, "both", x=X), outputs(module, "both", x=X))


def test_in_an_archive(tmp_path):
    folder = trained(tmp_path / "saved")
    with tarfile.open(tmp_path / "saved.tar.gz", "w:gz") as archive:
        archive.add(folder, ".")
    module = hub.load(tmp_path / "saved.tar.gz")
    assert_same(module(X)["score"], in_session(folder, "serving_default", {"x": X})["score"])
    assert module.spec.files.name == str(tmp_path / "saved.tar.gz")


def test_in_a_graph(tmp_path):
    folder = trained(tmp_path / "saved")
    with tf.Graph().as_default(), v1.Session() as session:
        found = hub.load(folder).signatures["both"](x=tf.constant(X))
        session.run(v1.global_variables_initializer())
        values = session.run(found)
    assert_all_same(values, in_session(folder, "both", {"x": X}))


class TestTags:
    def test_for_serving(self, tmp_path):
        folder = of_tags(tmp_path / "saved", ["train"], ["serve"], ["serve", "gpu"])
        assert hub.load(folder)([1.0])["y"].numpy() == 6.0
        assert hub.load(folder, tags={"serve", "gpu"})([1.0])["y"].numpy() == 12.0
        assert hub.load(folder, "train")([1.0])["y"].numpy() == 3.0

    def test_the_only_ones(self, tmp_path):
        folder = of_tags(tmp_path / "saved", ["mine", "gpu"])
        assert hub.load(folder)([1.0])["y"].numpy() == 3.0
        layer = hub.ModuleLayer(folder)
        assert (layer([1.0]).numpy(), layer.get_config()["tags"]) == (3.0, ["gpu", "mine"])

    def test_several_and_none_for_serving(self, tmp_path):
        folder = of_tags(tmp_path / "saved", ["train"], ["gpu", "serve"])
        for load in (hub.load, hub.ModuleLayer):
            with pytest.raises(hub.TagsError) as caught:
                load(folder)
            assert str(caught.value) == (
                "A TF1 SavedModel has several graphs, and none with tags {'serve'} alone.\n"
                f"  In: module {folder!r}\n"
                "  Expected: tags, one of {'gpu', 'serve'}, {'train'}\n"
                "  Found: none given\n"
                "  What to do: pass tags=... with one of these sets"
            )

    def test_others(self, tmp_path):
        folder = of_tags(tmp_path / "saved", ["serve"])
        with pytest.raises(hub.TagsError, match=r"A TF1 SavedModel has no variant .*'other'"):
            hub.load(folder, tags={"other"})


class TestSignature:
    @pytest.fixture
    def two(self, tmp_path):
        with tf.Graph().as_default(), v1.Session() as session:
            x = v1.placeholder(tf.float32, [None], name="x")
            signatures = {n: signature({"x": x}, {"y": x * f}) for n, f in (("a", 2), ("b", 3))}
            return save(session, tmp_path / "saved", signatures)

    def test_named(self, two):
        assert hub.load(two, signature="b")([1.0])["y"].numpy() == 3.0

    def test_several(self, two):
        module = hub.load(two)
        assert outputs(module, "a", x=[1.0])["y"] == 2.0
        with pytest.raises(hub.SignatureError, match="Cannot call a TF1 SavedModel") as caught:
            module([1.0])
        assert "one of its signatures, 'a', 'b'" in str(caught.value)
        with pytest.raises(
            hub.SignatureError, match=r"A TF1 SavedModel has no signature 'default'"
        ):
            hub.ModuleLayer(two)


class TestTables:
    def save(self, folder, run_first):
        """Ids of words: from a file, from what is run first, from the checkpoint."""
        file = folder / "vocab.txt"
        file.write_text("cat\ndog\n")
        with tf.Graph().as_default(), v1.Session() as session:
            words = v1.placeholder(tf.string, [None])
            index = tf.lookup.TextFileIndex
            source = tf.lookup.TextFileInitializer(
                str(file), tf.string, index.WHOLE_LINE, tf.int64, index.LINE_NUMBER
            )
            tables = {
                "of_a_file": tf.lookup.StaticHashTable(source, -1),
                "inserted": tf.lookup.experimental.MutableHashTable(
                    tf.string, tf.int64, -1, checkpoint=False
                ),
                "grown": tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1),
            }
            first = tables["inserted"].insert(["bird"], tf.constant([7], tf.int64))
            session.run(tables["grown"].insert(["fish"], tf.constant([9], tf.int64)))
            found = {name: table.lookup(words) for name, table in tables.items()}
            return save(
                session,
                folder / "saved",
                {"serving_default": signature({"words": words}, found)},
                **{run_first: tf.group(v1.tables_initializer(), first)},
                assets_collection=v1.get_collection("asset_filepaths"),
            )

    @pytest.mark.parametrize("run_first", ["main_op", "legacy_init_op"])
    def test_work(self, tmp_path, run_first):
        folder = self.save(tmp_path, run_first)
        words = np.array(["dog", "bird", "fish"], object)
        expected = in_session(folder, "serving_default", {"words": words})
        assert [expected[name].tolist() for name in ("of_a_file", "inserted", "grown")] == [
            *([1, -1, -1], [-1, 7, -1], [-1, -1, 9]),
        ]
        (tmp_path / "vocab.txt").unlink()
        assert_all_same(hub.load(folder)(words), expected)
        layer = hub.ModuleLayer(folder, as_dict=True)
        layer.export_module(tmp_path / "module")
        for handle in (folder, tmp_path / "module"):
            layer = hub.ModuleLayer(
                handle, tags={"serve"}, signature="serving_default", as_dict=True
            )
            assert_all_same(layer(words), expected)


class TestVariables:
    def test_averages_under_the_names_of_weights(self, tmp_path):
        """What the graph's own Saver says, as a session restores it."""
        with tf.Graph().as_default(), v1.Session() as session:
            x = v1.placeholder(tf.float32, [None], name="x")
            w = v1.get_variable("w", initializer=2.0, use_resource=False)
            b = v1.get_variable("b", initializer=1.0, use_resource=True)
            session.run(v1.global_variables_initializer())
            saver = v1.train.Saver({"w/ExponentialMovingAverage": w, "offset": b})
            signatures = {"serving_default": signature({"x": x}, {"y": x * w + b})}
            folder = save(session, tmp_path / "saved", signatures, saver=saver)
        assert in_session(folder, "serving_default", {"x": [3.0]})["y"] == 7.0
        assert hub.load(folder)([3.0])["y"].numpy() == 7.0
        layer = hub.ModuleLayer(folder)
        assert layer([3.0]).numpy() == 7.0
        layer.export_module(tmp_path / "module")
        assert outputs(hub.load(tmp_path / "module", "serve"), "serving_default", x=[3.0]) == {
            "y": 7.0
        }
        exported = tf.saved_model.load(str(tmp_path / "module"))
        assert outputs(exported, "serving_default", x=[3.0]) == {"y": 7.0}
        with tf.Graph().as_default(), v1.Session() as session:
            found = hub.load(folder).signatures["serving_default"](x=tf.constant([3.0]))
            session.run(v1.global_variables_initializer())
            assert session.run(found) == {"y": 7.0}
        spec = hub.create_module_spec_from_saved_model(folder)
        spec.export(str(tmp_path / "published"))
        published = tf.saved_model.load(str(tmp_path / "published"))
        assert outputs(published, "serving_default", x=[3.0]) == {"y": 7.0}

    def test_local_ones_start_anew(self, tmp_path):
        """As an Estimator's export for evaluation has them."""
        with tf.Graph().as_default(), v1.Session() as session:
            x = v1.placeholder(tf.float32, [None], name="x")
            w = v1.get_variable("w", initializer=2.0)
            value, update = v1.metrics.mean(x * w)
            session.run([v1.global_variables_initializer(), v1.local_variables_initializer()])
            session.run(update, {x: [100.0]})
            signatures = {"eval": signature({"x": x}, {"value": value, "update": update})}
            init = v1.local_variables_initializer()
            folder = save(session, tmp_path / "saved", signatures, main_op=init)
        reference, module = tf.saved_model.load(folder), hub.load(folder)
        for given in ([1.0, 2.0], [6.0]):
            expected = outputs(reference, "eval", x=given)
            assert outputs(module, "eval", x=given)["update"] == expected["update"]
        assert {v.name for v in module.variables} == {"w:0", "mean/total:0", "mean/count:0"}
        with tf.Graph().as_default(), v1.Session() as session:
            found = hub.load(folder).signatures["eval"](x=tf.constant([1.0, 2.0]))
            session.run(v1.global_variables_initializer())
            assert session.run(found["update"]) == 3.0

    def test_what_no_signature_needs(self, tmp_path):
        """Neither saved, nor of a fixed shape, nor of a kind that Keras has."""
        with tf.Graph().as_default(), v1.Session() as session:
            x = v1.placeholder(tf.float32, [None], name="x")
            w = v1.get_variable("w", initializer=2.0)
            v1.get_variable("unsaved", initializer=1.0)
            v1.get_variable("texts", initializer=["a", "b"])
            some = v1.placeholder_with_default([1.0], [None])
            v1.get_variable("loose", initializer=some, validate_shape=False)
            session.run(v1.global_variables_initializer())
            signatures = {"serving_default": signature({"x": x}, {"y": x * w})}
            folder = save(session, tmp_path / "saved", signatures, saver=v1.train.Saver([w]))
        module, layer = hub.load(folder), hub.ModuleLayer(folder)
        assert [v.name for v in module.variables] == ["w:0"]
        assert module([3.0])["y"].numpy() == layer([3.0]).numpy() == 6.0

    def test_without_values(self, tmp_path):
        folder = trained(tmp_path / "saved")
        (tmp_path / "saved" / "variables" / "variables.index").unlink()
        with pytest.raises(hub.CheckpointError, match="Cannot read a TF1 SavedModel: the values"):
            hub.load(folder)

    def test_without_one_that_is_needed(self, tmp_path):
        with tf.Graph().as_default(), v1.Session() as session:
            x = v1.placeholder(tf.float32, [None], name="x")
            w, b = (v1.get_variable(name, initializer=2.0) for name in "wb")
            session.run(v1.global_variables_initializer())
            signatures = {"serving_default": signature({"x": x}, {"y": x * w + b})}
            folder = save(session, tmp_path / "saved", signatures, saver=v1.train.Saver([w]))
        for load in (hub.load, lambda path: hub.ModuleLayer(path)([1.0])):
            with pytest.raises(hub.CheckpointError, match="variable 'b' of a TF1 SavedModel") as e:
                load(folder)
            assert "save the model again, with a Saver of all variables" in str(e.value)


class TestSafeMode:
    def test_what_runs_first_beside_tables_is_left_out(self, tmp_path):
        target = tmp_path / "written.txt"
        with tf.Graph().as_default(), v1.Session() as session:
            x = v1.placeholder(tf.float32, [None], name="x")
            writing = tf.io.write_file(str(target), "out")
            signatures = {"serving_default": signature({"x": x}, {"y": 2 * x})}
            folder = save(session, tmp_path / "saved", signatures, main_op=writing)
        for safe_mode in (True, False):
            assert hub.load(folder, safe_mode=safe_mode)([1.0])["y"].numpy() == 2.0
            assert hub.ModuleLayer(folder, safe_mode=safe_mode)([1.0]).numpy() == 2.0
        assert not target.exists()

    def test_initializer_of_a_local_variable(self, tmp_path):
        secret = tmp_path / "secret.txt"
        secret.write_text("secret")
        with tf.Graph().as_default(), v1.Session() as session:
            start = tf.strings.length(tf.io.read_file(str(secret)))
            v = v1.get_variable("v", initializer=start, collections=["local_variables"])
            x = v1.placeholder(tf.int32, [None], name="x")
            signatures = {"serving_default": signature({"x": x}, {"y": x + v})}
            folder = save(session, tmp_path / "saved", signatures)
        with pytest.raises(hub.UnsafeModuleError, match="a TF1 SavedModel in safe mode") as caught:
            hub.load(folder)
        assert "ReadFile" in str(caught.value)
        assert hub.load(folder, trusted_ops={"ReadFile"})([1])["y"].numpy() == 7
        with tf.Graph().as_default(), pytest.raises(hub.UnsafeModuleError, match="ReadFile"):
            hub.load(folder)


def test_an_iterator_in_place_of_a_placeholder(tmp_path):
    """A script that trained from a dataset, and serves in place of what that gave."""
    with tf.Graph().as_default(), v1.Session() as session:
        data = tf.data.Dataset.from_tensors((X, np.ones([3, 1], np.float32))).repeat()
        x, labels = v1.data.make_one_shot_iterator(data).get_next()
        w = v1.get_variable("w", initializer=[[1.0], [2.0]])
        y = x @ w
        v1.train.GradientDescentOptimizer(0.1).minimize(v1.losses.mean_squared_error(labels, y))
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(tmp_path / "saved"), {"x": x}, {"y": y})
    folder = tmp_path / "saved"
    assert_all_same(hub.load(folder)(X), in_session(folder, "serving_default", {"x": X}))
