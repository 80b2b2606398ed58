"""The feature column of SavedModels. What is expected, the original library computed."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import hub_keras_bridge as hub
from helpers.column_saved_models import (
    WORDS,
    dense_features,
    lengths_fn,
    save_by_name,
    save_texts,
)
from hub_keras_bridge.frontends.feature_columns.text_v2 import _TextEmbeddingColumnV2

v1 = tf.compat.v1
columns = tf.__internal__.feature_column

TEXTS = {"text": tf.constant(["hello world", "unknown"])}
TEXTS_LISTED = {"text": ["hello world", "unknown"]}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return save_texts(tmp_path_factory.mktemp("saved") / "texts")


@pytest.fixture(scope="module")
def by_name(tmp_path_factory):
    return save_by_name(tmp_path_factory.mktemp("saved") / "by_name")


@pytest.fixture
def module_path(publish):
    return publish(lengths_fn)


SCOPE = "features/text_hub_module_embedding/"
INFERENCE = [[1, 2, 3, 4], [0, 0, 0, 0]]
TRAINING = [[101, 102, 103, 104], [100, 100, 100, 100]]


def test_texts(saved):
    columns = [hub.text_embedding_column_v2(key, saved) for key in ("text", "other")]
    layer = tf_keras.layers.DenseFeatures(columns)
    found = layer({"text": tf.constant(WORDS), "other": tf.constant([["hello world"], ["no"]])})
    assert found.numpy().tolist() == [[1, 2, 3, 4, 1, 2, 3, 4], [0, 0, 0, 0, 5, 5, 5, 5]]


@pytest.mark.parametrize("of_column", [False, True])
@pytest.mark.parametrize("of_layer", [False, True])
def test_trainable(of_column, of_layer, saved):
    layer = dense_features(saved, of_column, trainable=of_layer)
    assert layer(TEXTS).numpy().tolist() == INFERENCE

    def check(trained):
        assert layer(TEXTS, training=False).numpy().tolist() == INFERENCE
        found = layer(TEXTS, training=True).numpy().tolist()
        assert found == (TRAINING if trained else INFERENCE)
        rows, count = f"{SCOPE}rows:0", f"{SCOPE}statistics/count:0"
        assert [weight.name for weight in layer.weights] == [rows, count]
        assert [v.name for v in layer.trainable_weights] == ([rows] if trained else [])
        np.testing.assert_allclose(layer.losses, [3.0 if trained else 0.0], rtol=1e-6)

    check(of_column and of_layer)
    # Keras freezes and thaws a layer with all that is in it.
    layer.trainable = False
    check(False)
    layer.trainable = True
    check(True)


def fit(layer):
    """A step of gradient descent."""
    inputs = {"text": tf_keras.Input([], name="text", dtype=tf.string)}
    model = tf_keras.Model(inputs, layer(inputs))
    assert model.output_shape == (None, 4)
    model.compile("sgd", "mse")
    texts = {"text": np.array(["hello world", "unknown"], object)}
    history = model.fit(texts, np.zeros([2, 4]), verbose=0).history
    return history["loss"], model.predict(texts, verbose=0)


def test_training(saved):
    loss, found = fit(dense_features(saved, True))
    np.testing.assert_allclose(loss, [10256.75])
    rows = [[0.7465, 1.744, 2.7415, 3.739], [-0.251] * 4]
    np.testing.assert_allclose(found, rows, rtol=1e-5)


def test_training_beside_a_frozen_column(saved):
    loss, found = fit(dense_features(saved))
    np.testing.assert_allclose(loss, [3.75])
    assert found.tolist() == INFERENCE


def test_inside_a_function(saved):
    layer = dense_features(saved, True)

    @tf.function
    def run(texts, training):
        return layer({"text": texts}, training=training)

    texts = TEXTS["text"]
    assert run(texts, True).numpy().tolist() == TRAINING
    assert run(texts, tf.constant(True)).numpy().tolist() == TRAINING
    assert run(texts, tf.constant(False)).numpy().tolist() == INFERENCE


def test_output_by_name(by_name):
    assert dense_features(by_name, output_key="vectors")(TEXTS).numpy().tolist() == INFERENCE
    twice = dense_features(by_name, True, output_key="twice")
    assert twice(TEXTS, training=True).numpy().tolist() == [[2, 4, 6, 8], [0] * 4]


def test_tf1_hub_module(module_path):
    layer = dense_features(module_path)
    assert layer(TEXTS).numpy().tolist() == [[11, 22], [7, 14]]
    assert (layer.trainable_weights, layer.losses) == ([], [])
    assert [weight.name for weight in layer.weights] == ["w:0"]
    found = dense_features(module_path, output_key="twice")(TEXTS)
    assert found.numpy().tolist() == [[22, 44], [14, 28]]


# --- Keras 2 saves ---


def trained_model(path, layer=None):
    inputs = {"text": tf_keras.Input([], name="text", dtype=tf.string)}
    layer = layer or dense_features(path, True)
    model = tf_keras.Model(inputs, layer(inputs))
    layer.trainable_weights[0].assign_add(tf.ones([3, 4]))
    return model


SAVED = [[2, 3, 4, 5], [1, 1, 1, 1]]


def test_whole_models(saved, tmp_path):
    path = tmp_path / "model.h5"
    trained_model(saved).save(path)
    known = {"_TextEmbeddingColumnV2": _TextEmbeddingColumnV2}
    loaded = tf_keras.models.load_model(path, custom_objects=known)
    assert loaded(TEXTS).numpy().tolist() == SAVED
    assert [weight.name for weight in loaded.trainable_weights] == [f"{SCOPE}rows:0"]


def test_saved_models(saved, tmp_path):
    trained_model(saved).save(tmp_path / "model")
    serve = tf.saved_model.load(tmp_path / "model").signatures["serving_default"]
    (found,) = serve(**TEXTS).values()
    assert found.numpy().tolist() == SAVED


def test_saved_models_of_a_tf1_hub_module(module_path, tmp_path):
    inputs = {"text": tf_keras.Input([], name="text", dtype=tf.string)}
    tf_keras.Model(inputs, dense_features(module_path)(inputs)).save(tmp_path / "model")
    loaded = tf.saved_model.load(tmp_path / "model")
    (found,) = loaded.signatures["serving_default"](**TEXTS).values()
    assert found.numpy().tolist() == [[11, 22], [7, 14]]


def test_checkpoints(saved, tmp_path):
    """Under the names that the original library's checkpoints have."""
    model, fresh = trained_model(saved), trained_model(saved)
    fresh.layers[-1].trainable_weights[0].assign(tf.zeros([3, 4]))
    model.save_weights(tmp_path / "weights")
    fresh.load_weights(tmp_path / "weights").assert_consumed()
    assert fresh(TEXTS).numpy().tolist() == SAVED

    checkpoint = tf.train.Checkpoint(layer=model.layers[-1]).write(str(tmp_path / "layer"))
    resource = "layer/_resources/text_hub_module_embedding/hub_text_column_text/"
    scope = SCOPE.replace("/", ".S")
    assert [name for name, _ in tf.train.list_variables(checkpoint)] == [
        "_CHECKPOINTABLE_OBJECT_GRAPH",
        f"{resource}{scope}rows:0/.ATTRIBUTES/VARIABLE_VALUE",
        f"{resource}{scope}statistics.Scount:0/.ATTRIBUTES/VARIABLE_VALUE",
    ]


def test_checkpoint_of_another_column(saved, tmp_path):
    trained_model(saved).save_weights(tmp_path / "weights")
    other = tf_keras.layers.DenseFeatures(
        [hub.text_embedding_column_v2("other", saved, None, True)]
    )
    inputs = {"other": tf_keras.Input([], name="other", dtype=tf.string)}
    model = tf_keras.Model(inputs, other(inputs))
    with pytest.raises(AssertionError, match="not bound"):
        model.load_weights(tmp_path / "weights").assert_consumed()


# --- in a TF1 graph ---


def run(fetches, before=()):
    """Values of the default graph, whose state is new."""
    with v1.Session() as session:
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        session.run(before)
        return session.run(fetches)


@pytest.mark.parametrize("trained", [False, True])
def test_saved_model_in_a_graph(trained, saved):
    with tf.Graph().as_default():
        layer = dense_features(saved, trained)
        inference, training = layer(TEXTS_LISTED), layer(TEXTS_LISTED, training=True)
        assert inference.shape.as_list() == [None, 4]
        variables = [f"{SCOPE}rows:0", f"{SCOPE}statistics/count:0"]
        assert [each.name for each in v1.global_variables()] == variables
        assert [each.name for each in layer.weights] == variables
        assert [each.name for each in layer.trainable_weights] == variables[:trained]
        assert v1.trainable_variables() == []
        found = run([inference, training, *layer.losses])
        assert found[0].tolist() == INFERENCE
        assert found[1].tolist() == (TRAINING if trained else INFERENCE)
        np.testing.assert_allclose(found[2], 3.0 if trained else 0.0, rtol=1e-6)
        if trained:
            loss = tf.reduce_mean(training**2)
            descent = v1.train.GradientDescentOptimizer(0.1)
            step = descent.minimize(loss, var_list=layer.trainable_weights)
            rows = [[-1.525, -0.55, 0.425, 1.4], [-2.5] * 4]
            np.testing.assert_allclose(run(inference, before=step), rows, rtol=1e-5)


@pytest.mark.parametrize("use_resource", [True, False])
def test_tf1_hub_module_in_a_graph(use_resource, publish):
    def module_fn():
        texts = v1.placeholder(tf.string, [None])
        w = v1.get_variable("w", initializer=[[1.0, 2.0]], use_resource=use_resource)
        hub.add_signature(
            inputs=texts, outputs=tf.cast(tf.strings.length(texts), tf.float32)[:, None] * w
        )

    path = publish(module_fn)
    with tf.Graph().as_default():
        layer = dense_features(path)
        found, again = layer(TEXTS_LISTED), layer({"text": tf.constant([["a"]])})
        assert (layer.trainable_weights, layer.losses) == ([], [])
        assert layer.weights == v1.global_variables()
        assert len(layer.weights) == 1
        found, again = run([found, again])
    assert (found.tolist(), again.tolist()) == ([[11, 22], [7, 14]], [[1, 2]])


def test_tf1_hub_module_that_is_to_be_trained_in_a_graph(module_path):
    with tf.Graph().as_default(), pytest.raises(ValueError, match="Cannot train a TF1 Hub module"):
        dense_features(module_path, True)(TEXTS_LISTED)
