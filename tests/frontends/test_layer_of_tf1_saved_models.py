"""ModuleLayer on TF1 SavedModels: fine-tuned as a session does, and on into files."""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.tf1_saved_models import (
    TARGETS,
    X,
    in_session,
    of_tags,
    signature,
    trained,
    tuned_in_session,
)

v1 = tf.compat.v1

RATE, STEPS = 0.05, 4


@pytest.fixture
def folder(tmp_path):
    return trained(tmp_path / "saved")


def score(folder):
    return in_session(folder, "serving_default", {"x": X})["score"]


def tuned(layer):
    model = keras.Sequential([keras.Input((2,)), layer])
    model.compile(keras.optimizers.SGD(RATE), "mse")
    history = model.fit(X, TARGETS, batch_size=len(X), epochs=STEPS, shuffle=False, verbose=0)
    return model, history.history["loss"]


@pytest.mark.parametrize("use_resource", [True, False], ids=["resource", "reference"])
def test_fine_tuned_as_in_a_session(tmp_path, use_resource):
    folder = trained(tmp_path / "saved", use_resource)
    expected, variables = tuned_in_session(folder, {"x": X}, TARGETS, STEPS, RATE)
    layer = hub.ModuleLayer(folder, trainable=True)
    _, losses = tuned(layer)
    np.testing.assert_allclose(losses, expected, rtol=0, atol=1e-6)
    # Those of the optimizer are needed by no signature.
    needed = {"dense/kernel", "dense/bias", "mean", "global_step"}
    assert layer.variable_map.keys() == needed
    for name in needed:
        np.testing.assert_allclose(layer.variable_map[name], variables[name], rtol=0, atol=1e-6)
    names = [weight.path.rpartition("/")[2] for weight in layer.trainable_weights]
    assert names == ["dense.kernel", "dense.bias"]
    assert layer.variable_map["global_step"].numpy() == 3


def test_signature_and_output(folder):
    layer = hub.ModuleLayer(folder, tags={"serve"}, signature="both", output_key="steps")
    assert layer(X).numpy() == 3
    assert hub.ModuleLayer(folder, signature="both", as_dict=True)(X).keys() == {"score", "steps"}
    spec = layer.spec
    assert spec.get_signature_names({"serve"}) == ["both", "serving_default"]
    assert spec.get_output_info_dict("both", {"serve"}).keys() == {"score", "steps"}
    with pytest.raises(hub.SignatureError, match="A signature of a TF1 SavedModel") as caught:
        hub.ModuleLayer(folder, signature="both")
    assert "has no output 'default'" in str(caught.value)
    assert "one of 'score', 'steps'" in str(caught.value)
    with pytest.raises(hub.InputError, match="call of a TF1 SavedModel"):
        layer({"y": X})


def test_of_a_spec(folder):
    assert hub.ModuleLayer(hub.load(folder).spec)(X).numpy() == pytest.approx(score(folder))


def test_frozen(folder):
    layer = hub.ModuleLayer(folder)
    assert layer.trainable_weights == layer.losses == []
    assert layer(X, training=True).numpy() == pytest.approx(score(folder))


def test_training_variant(tmp_path):
    folder = of_tags(tmp_path / "saved", ["serve"], ["serve", "train"], ["other"])
    layer = hub.ModuleLayer(folder, trainable=True)
    assert (layer([1.0]).numpy(), layer([1.0], training=True).numpy()) == (3.0, 6.0)
    other = hub.ModuleLayer(folder, trainable=True, training_tags={"other"})
    assert other([1.0], training=True).numpy() == 12.0


class TestFiles:
    def test_keras_archive(self, folder, tmp_path):
        model, _ = tuned(hub.ModuleLayer(folder, trainable=True))
        expected = model.predict(X, verbose=0)
        model.save(tmp_path / "model.keras")
        shutil.rmtree(folder)
        again = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(again.predict(X, verbose=0), expected)
        layer = again.layers[-1]
        assert layer.variable_map.keys() == {"dense/kernel", "dense/bias", "mean", "global_step"}
        again.fit(X, TARGETS, verbose=0)
        assert len(layer.trainable_weights) == 2

    def test_config(self, folder):
        layer = hub.ModuleLayer(folder)
        config = layer.get_config()
        assert (config["tags"], config["signature"]) == (["serve"], "serving_default")
        assert config["output_key"] == "score"
        del layer
        again = hub.ModuleLayer.from_config(config)
        assert again(X).numpy() == pytest.approx(score(folder))
        shutil.rmtree(folder)
        del again
        with pytest.raises(hub.HandleError, match="its graphs are not here"):
            hub.ModuleLayer.from_config(config)(X)

    def test_clone(self, folder):
        model = keras.Sequential([keras.Input((2,)), hub.ModuleLayer(folder)])
        clone = keras.models.clone_model(model)
        clone.set_weights(model.get_weights())
        assert clone(X).numpy() == pytest.approx(score(folder))

    def test_exported_as_a_module(self, folder, tmp_path):
        """Of the same tags and signatures, without what training left."""
        model, _ = tuned(hub.ModuleLayer(folder, trainable=True))
        expected, layer = model(X).numpy(), model.layers[-1]
        layer.export_module(tmp_path / "module")
        (meta_graph,) = hub.load_module_spec(tmp_path / "module").files.saved_model.meta_graphs
        assert sorted(meta_graph.collection_def) == [
            *("regularization_losses", "trainable_variables", "update_ops", "variables"),
        ]
        module = hub.load(tmp_path / "module", "serve")
        reference = tf.saved_model.load(str(tmp_path / "module"))
        for each in (module, reference):
            assert set(each.signatures) == {"both", "serving_default"}
            found = each.signatures["both"](x=tf.constant(X))
            np.testing.assert_allclose(found["score"], expected, rtol=0, atol=1e-6)
            assert found["steps"].numpy() == 3
        with tf.Graph().as_default(), v1.Session() as session:
            found = hub.Module(str(tmp_path / "module"), tags={"serve"})(X, "both", as_dict=True)
            session.run(v1.global_variables_initializer())
            np.testing.assert_allclose(session.run(found["score"]), expected, atol=1e-6)

    def test_model_export(self, folder, tmp_path):
        model, _ = tuned(hub.ModuleLayer(folder, trainable=True))
        model.export(str(tmp_path / "tf2"), verbose=False)
        served = tf.saved_model.load(str(tmp_path / "tf2"))
        np.testing.assert_allclose(served.serve(tf.constant(X)), model(X), rtol=0, atol=1e-6)


def test_partitioned(tmp_path):
    with tf.Graph().as_default(), v1.Session() as session:
        ids = v1.placeholder(tf.int64, [None], name="ids")
        start = v1.random_uniform_initializer(seed=1)
        parts = v1.get_variable(
            "emb", [6, 2], initializer=start, partitioner=v1.fixed_size_partitioner(2)
        )
        found = v1.nn.embedding_lookup(parts, ids, partition_strategy="div")
        loss = tf.reduce_mean(found**2)
        v1.train.AdagradOptimizer(0.1).minimize(loss, v1.train.get_or_create_global_step())
        session.run(v1.global_variables_initializer())
        saver = v1.train.Saver(sharded=True)
        builder = v1.saved_model.Builder(str(tmp_path / "saved"))
        signatures = {"serving_default": signature({"ids": ids}, {"vectors": found})}
        builder.add_meta_graph_and_variables(session, ["serve"], signatures, saver=saver)
        builder.save()
    folder, given, targets = tmp_path / "saved", np.array([5, 0, 1]), np.ones((3, 2), np.float32)
    losses, variables = tuned_in_session(folder, {"ids": given}, targets, STEPS, RATE)
    layer = hub.ModuleLayer(folder, trainable=True)
    found = []
    for _ in range(STEPS):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((layer(given, training=True) - targets) ** 2)
        gradients = tape.gradient(loss, layer.trainable_weights)
        for weight, gradient in zip(layer.trainable_weights, gradients, strict=True):
            weight.assign_sub(RATE * tf.convert_to_tensor(gradient))
        found.append(loss)
    np.testing.assert_allclose(found, losses, rtol=1e-6)
    expected = [variables["emb/part_0"], variables["emb/part_1"]]
    for part, value in zip(layer.variable_map["emb"], expected, strict=True):
        np.testing.assert_allclose(part, value, rtol=0, atol=1e-6)
