"""The feature column of SavedModels by itself: fields, names, configs, and what it refuses."""

import pathlib

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


# --- the column itself ---


def test_facts(saved):
    column = hub.text_embedding_column_v2("text", saved, trainable=True)
    assert column == ("text", saved, None, True)
    assert repr(column) == (
        f"_TextEmbeddingColumnV2(key='text', module_path={saved!r}, output_key=None, "
        "trainable=True)"
    )
    assert column.name == "text_hub_module_embedding"
    assert column.parents == ["text"]
    spec = tf.feature_column.make_parse_example_spec([column])
    assert spec == {"text": tf.io.FixedLenFeature([1], tf.string)}
    assert column._is_v2_column
    assert isinstance(column, columns.DenseColumn)
    # The original library knows it only once a layer has loaded the SavedModel.
    assert column.variable_shape == [4]


def test_config(saved):
    column = hub.text_embedding_column_v2("text", pathlib.Path(saved), "vectors", True)
    assert column.get_config() == {
        "key": "text",
        "module_path": saved,
        "output_key": "vectors",
        "trainable": True,
    }
    column = hub.text_embedding_column_v2("text", saved, "vectors", True)
    config = columns.serialize_feature_column(column)
    assert config["class_name"] == "_TextEmbeddingColumnV2"
    known = {"_TextEmbeddingColumnV2": _TextEmbeddingColumnV2}
    assert columns.deserialize_feature_column(config, custom_objects=known) == column


def test_column_of_a_column(saved):
    key = tf.feature_column.numeric_column("text")
    column = hub.text_embedding_column_v2(key, saved)
    assert (column.name, column.parents) == ("text_hub_module_embedding", [key])


def test_input_layer(saved):
    """It has the newer interface alone."""
    column = hub.text_embedding_column_v2("text", saved)
    with tf.Graph().as_default(), pytest.raises(ValueError, match="must be a _FeatureColumn"):
        tf.compat.v1.feature_column.input_layer({"text": WORDS}, [column])


# --- errors ---


def test_no_output_is_named(by_name):
    with pytest.raises(ValueError, match="does not return a single tensor") as caught:
        dense_features(by_name)(TEXTS)
    assert str(caught.value) == (
        "Cannot make a feature column: the module does not return a single tensor.\n"
        f"  In: module {by_name!r}\n"
        "  Expected: output_key=... with one of 'twice', 'vectors'\n"
        "  Found: no output_key\n"
        "  What to do: name the output that is the vectors"
    )


def test_no_such_output(by_name, saved, module_path):
    expected = {
        by_name: "one of 'twice', 'vectors'",
        module_path: "one of 'default', 'twice'",
        saved: "no output_key: there is one output, without a name",
    }
    for path, told in expected.items():
        with pytest.raises(hub.SignatureError) as caught:
            dense_features(path, output_key="nope")(TEXTS)
        assert str(caught.value) == (
            "A module has no output 'nope' for a feature column.\n"
            f"  In: module {path!r}\n"
            f"  Expected: {told}\n"
            "  Found: output_key='nope'\n"
            "  What to do: pass another output_key=..., or none where there is one output"
        )


def test_output_that_is_no_tensor(tmp_path):
    model = tf.Module()
    model.__call__ = tf.function(
        tf.strings.split, input_signature=[tf.TensorSpec([None], tf.string)]
    )
    tf.saved_model.save(model, tmp_path / "splits")
    with pytest.raises(hub.SignatureError) as caught:
        dense_features(tmp_path / "splits")(TEXTS)
    assert caught.value.expected == "a tensor of vectors"
    assert caught.value.found == "a RaggedTensor"


def test_tf1_hub_module_that_is_to_be_trained(module_path, tmp_path):
    with pytest.raises(ValueError, match="Cannot train") as caught:
        dense_features(module_path, True)(TEXTS)
    assert str(caught.value) == (
        "Cannot train a TF1 Hub module in a feature column for SavedModels.\n"
        f"  In: module {module_path!r}\n"
        "  Expected: trainable=False, or a SavedModel of TensorFlow 2\n"
        "  Found: trainable=True\n"
        "  What to do: convert the module with tf.saved_model.save(hub.load(handle), path), and "
        "make the column of the path; or use hub.text_embedding_column in a TF1 graph"
    )
    assert isinstance(caught.value, hub.TrainingError)
    # The advice works.
    tf.saved_model.save(hub.load(module_path), tmp_path / "converted")
    layer = dense_features(tmp_path / "converted", True)
    assert layer(TEXTS, training=True).numpy().tolist() == [[11, 22], [7, 14]]
    assert [weight.name for weight in layer.trainable_weights] == [
        "features/text_hub_module_embedding/w:0"
    ]


def test_signatures_that_do_not_fit(publish):
    """Nothing by the name that is used, and more than texts."""

    def module_fn():
        texts = v1.placeholder(tf.string, [None])
        hub.add_signature("other", inputs=texts, outputs=tf.strings.length(texts))

    def wide_fn():
        texts, weights = v1.placeholder(tf.string, [None]), v1.placeholder(tf.float32, [None, 1])
        vectors = tf.cast(tf.strings.length(texts), tf.float32)[:, None] * weights
        hub.add_signature(inputs={"texts": texts, "weights": weights}, outputs=vectors)

    with pytest.raises(hub.SignatureError, match="has no signature 'default'"):
        dense_features(publish(module_fn))(TEXTS)
    with pytest.raises(hub.SignatureError) as caught:
        dense_features(path := publish(wide_fn))(TEXTS)
    assert str(caught.value) == (
        "A module does not take texts alone, as a feature column does.\n"
        f"  In: module {path!r}\n"
        "  Expected: a signature of one input\n"
        "  Found: 'texts', 'weights'\n"
        "  What to do: use the module in a layer or function of your own"
    )


def test_no_module(tmp_path):
    column = hub.text_embedding_column_v2("text", tmp_path / "none")
    with pytest.raises(OSError, match="there is no such directory"):
        tf_keras.layers.DenseFeatures([column])(TEXTS)
