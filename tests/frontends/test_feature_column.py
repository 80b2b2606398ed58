"""Feature columns of TF1 Hub modules. What is expected, the original library computed."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import hub_keras_bridge as hub
from helpers.column_modules import WORDS, images_fn, regularized_fn, texts_fn

v1 = tf.compat.v1
input_layer = v1.feature_column.input_layer
columns = tf.__internal__.feature_column

PIXELS = [[[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]]
FEATURES = {"text": WORDS, "other": [["hello world"], ["unknown"]], "image": [PIXELS, PIXELS]}


@pytest.fixture(scope="module")
def texts():
    return hub.create_module_spec(texts_fn)


@pytest.fixture(scope="module")
def regularized():
    return hub.create_module_spec(regularized_fn)


@pytest.fixture(scope="module")
def images():
    return hub.create_module_spec(images_fn)


@pytest.fixture
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


def words():
    """Three texts in the first example, none in the second."""
    return tf.SparseTensor([[0, 0], [0, 1], [0, 2]], [*WORDS, WORDS[0]], [2, 3])


def values(*tensors):
    with v1.train.MonitoredSession() as session:
        return session.run(list(tensors))


def names(collection):
    return [variable.name for variable in v1.get_collection(collection)]


# --- in a TF1 graph ---


def test_texts(texts, graph):
    columns = [
        hub.text_embedding_column("text", texts),
        hub.text_embedding_column("other", texts, trainable=True),
    ]
    (found,) = values(input_layer(FEATURES, columns))
    assert found.tolist() == [[1, 2, 3, 4, 1, 2, 3, 4], [0, 0, 0, 0, 5, 5, 5, 5]]
    assert names("variables") == [
        "input_layer/other_hub_module_embedding/module/weights:0",
        "input_layer/text_hub_module_embedding/module/weights:0",
    ]
    assert names("trainable_variables") == [
        "input_layer/other_hub_module_embedding/module/weights:0"
    ]


def test_images(images, graph):
    (found,) = values(input_layer(FEATURES, [hub.image_embedding_column("image", images)]))
    np.testing.assert_allclose(found, [[0.5, 0.7, 0.9]] * 2, rtol=1e-6)
    assert names("variables") == ["input_layer/image_hub_module_embedding/module/weight:0"]
    assert names("trainable_variables") == []


MEAN = [7 / 3, 3, 11 / 3, 13 / 3]
SUM = [7, 9, 11, 13]
SQRTN = np.divide(SUM, np.sqrt(3))
ONE = [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("combiner", "default_value", "expected"),
    [
        ("mean", "unknown", [MEAN, [0] * 4]),
        ("mean", "hello world", [MEAN, ONE]),
        ("mean", "", [MEAN, [0] * 4]),
        # The second example has no text, and nobody says what to do about it.
        ("mean", None, [MEAN]),
        ("sum", "hello world", [SUM, ONE]),
        ("sum", None, [SUM]),
        ("sqrtn", "hello world", [SQRTN, ONE]),
        ("sqrtn", None, [SQRTN]),
    ],
)
def test_sparse_texts(combiner, default_value, expected, texts, graph):
    column = hub.sparse_text_embedding_column("words", texts, combiner, default_value)
    (found,) = values(input_layer({"words": words()}, [column]))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert names("variables") == ["input_layer/words_hub_module_embedding/module/weights:0"]


def test_no_texts_at_all(texts, graph):
    column = hub.sparse_text_embedding_column("words", texts, "mean", "hello world")
    nothing = tf.SparseTensor(np.zeros((0, 2), np.int64), tf.constant([], tf.string), [3, 0])
    assert values(input_layer({"words": nothing}, [column]))[0].tolist() == [ONE] * 3


@pytest.mark.parametrize("of_column", [False, True])
@pytest.mark.parametrize("of_layer", [False, True])
@pytest.mark.parametrize("kind", ["text", "words"])
def test_trainable(of_column, of_layer, kind, regularized, graph):
    column = (
        hub.text_embedding_column("text", regularized, trainable=of_column)
        if kind == "text"
        else hub.sparse_text_embedding_column("words", regularized, "mean", "", of_column)
    )
    input_layer({"text": WORDS, "words": words()}, [column], trainable=of_layer)
    scope = f"input_layer/{kind}_hub_module_embedding/module/"
    assert names("variables") == [f"{scope}w:0", f"{scope}calls:0"]
    trained = of_column and of_layer
    assert names("trainable_variables") == ([f"{scope}w:0"] if trained else [])
    assert len(v1.get_collection("regularization_losses")) == trained
    assert len(v1.get_collection("update_ops")) == trained


@pytest.mark.parametrize("kind", ["text", "words"])
def test_training(kind, texts, graph):
    column = (
        hub.text_embedding_column("text", texts, trainable=True)
        if kind == "text"
        else hub.sparse_text_embedding_column("words", texts, "mean", None, trainable=True)
    )
    one_each = tf.SparseTensor([[0, 0], [1, 0]], WORDS, [2, 2])
    dense = input_layer({"text": WORDS, "words": one_each}, [column])
    loss = v1.losses.mean_squared_error([[1, 1, 1, 1], [4, 3, 2, 1]], dense)
    step = v1.train.GradientDescentOptimizer(0.97).minimize(loss)
    with v1.train.MonitoredSession() as session:
        for _ in range(3):
            session.run(step)
        found = session.run(dense)
    expected = [[1, 1.434658, 1.869316, 2.303975], [4.434658, 3.869317, 3.303975, 2.738633]]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_variables_and_outputs_by_column(texts, images, graph):
    all_kinds = [
        hub.text_embedding_column("text", texts, trainable=True),
        hub.image_embedding_column("image", images),
        hub.sparse_text_embedding_column("words", texts, "mean", ""),
    ]
    variables, outputs = {}, {}
    input_layer(
        {**FEATURES, "words": words()},
        all_kinds,
        weight_collections=["mine"],
        cols_to_vars=variables,
        cols_to_output_tensors=outputs,
    )
    scopes = [f"input_layer/{key}_hub_module_embedding" for key in ("text", "image", "words")]
    weights = [f"{scope}/module/weight" for scope in scopes]
    assert [[v.name for v in variables[column]] for column in all_kinds] == [
        [f"{weights[0]}s:0"],
        [f"{weights[1]}:0"],
        [f"{weights[2]}s:0"],
    ]
    assert [outputs[column].name for column in all_kinds] == [
        f"{scopes[0]}/Reshape_1:0",
        f"{scopes[1]}/Reshape:0",
        f"{scopes[2]}/Reshape:0",
    ]
    assert v1.get_collection("mine") == []


def test_ops_around_the_module(texts, graph):
    column = hub.sparse_text_embedding_column("words", texts, "sum", "")
    input_layer({"words": words()}, [column])
    scope = "input_layer/words_hub_module_embedding/"
    made = [op.name for op in graph.get_operations() if op.name.startswith(scope)]
    own = dict.fromkeys(name.removeprefix(scope).split("/")[0] for name in made)
    assert [name for name in own if not name.startswith(("module", "save"))] == [
        "SparseFillEmptyRows",
        "Shape",
        "strided_slice",
        "range",
        "embedding_lookup_sparse",
        "Shape_1",
        "strided_slice_1",
        "Reshape",
    ]


def test_linear_model(texts, images, graph):
    all_kinds = [
        hub.text_embedding_column("text", texts, trainable=True),
        hub.image_embedding_column("image", images),
        hub.sparse_text_embedding_column("words", texts, "mean", ""),
    ]
    variables = {}
    logits = v1.feature_column.linear_model(
        {**FEATURES, "words": words()}, all_kinds, cols_to_vars=variables
    )
    assert [[v.name for v in variables[key]] for key in [*all_kinds, "bias"]] == [
        [
            "linear_model/text_hub_module_embedding/weights:0",
            "linear_model/text_hub_module_embedding/module/weights:0",
        ],
        [
            "linear_model/image_hub_module_embedding/weights:0",
            "linear_model/image_hub_module_embedding/module/weight:0",
        ],
        [
            "linear_model/words_hub_module_embedding/weights:0",
            "linear_model/words_hub_module_embedding/module/weights:0",
        ],
        ["linear_model/bias_weights:0"],
    ]
    step = v1.train.GradientDescentOptimizer(0.01).minimize(tf.reduce_sum((logits - 1) ** 2))
    with v1.train.MonitoredSession() as session:
        session.run(step)
        session.run(step)
        found = session.run(logits)
    np.testing.assert_allclose(found, [[-2.161954], [-2.924303]], rtol=1e-5)


def test_examples(texts, images, graph):
    all_kinds = [
        hub.text_embedding_column("text", texts),
        hub.image_embedding_column("image", images),
        hub.sparse_text_embedding_column("words", texts, "mean", None),
    ]
    example = tf.train.Example()
    example.features.feature["text"].bytes_list.value.append(b"hello world")
    example.features.feature["words"].bytes_list.value.extend(word.encode() for word in WORDS)
    example.features.feature["image"].float_list.value.extend(range(1, 7))
    spec = v1.feature_column.make_parse_example_spec(all_kinds)
    assert spec == {
        "text": tf.io.FixedLenFeature([1], tf.string),
        "image": tf.io.FixedLenFeature([1, 2, 3], tf.float32),
        "words": tf.io.VarLenFeature(tf.string),
    }
    features = tf.io.parse_example([example.SerializeToString()], spec)
    (found,) = values(input_layer(features, all_kinds))
    assert found.tolist() == [[5, 7, 9, 1, 2, 3, 4, 3, 3.5, 4, 4.5]]


def test_size_of_the_images(graph):
    free = hub.create_module_spec(lambda: images_fn((None, None, None, 3)))
    column = hub.image_embedding_column("image", free, image_size=[229, 128])
    assert column.image_size == (229, 128)
    assert column.parse_example_spec["image"].shape == [229, 128, 3]


def test_column_of_a_column(images, graph):
    pixels = v1.feature_column.numeric_column("image", shape=[1, 2, 3])
    column = hub.image_embedding_column(pixels, images)
    assert (column.name, column.parents) == ("image_hub_module_embedding", [pixels])
    (found,) = values(input_layer({"image": tf.constant(FEATURES["image"])}, [column]))
    np.testing.assert_allclose(found, [[0.5, 0.7, 0.9]] * 2, rtol=1e-6)


def test_errors_of_features_are_those_of_tensorflow_and_modules(texts, graph):
    column = hub.text_embedding_column("text", texts)
    with pytest.raises(ValueError, match="Feature text is not in features dictionary"):
        input_layer({}, [column])
    with pytest.raises(ValueError, match="Duplicate feature column name"):
        input_layer(FEATURES, [column, hub.text_embedding_column("text", texts, True)])
    with pytest.raises(hub.InputError, match="Cannot feed input 'default'"):
        input_layer({"text": tf.constant([1, 2])}, [column])


# --- in layers of Keras 2 ---


def dense_features(column, features, calls=2, **kwargs):
    layer = tf_keras.layers.DenseFeatures([column], **kwargs)
    features = {key: tf.convert_to_tensor(value) for key, value in features.items()}
    features["words"] = words()
    return [layer(features) for _ in range(calls)]


def test_calls_of_a_layer_share_the_module(texts, graph):
    column = hub.text_embedding_column("text", texts, trainable=True)
    first, second = dense_features(column, FEATURES)
    assert names("variables") == names("trainable_variables") == ["module/weights:0"]
    step = v1.train.GradientDescentOptimizer(0.5).minimize(tf.reduce_sum(first))
    with v1.train.MonitoredSession() as session:
        assert session.run(first).tolist() == [[1, 2, 3, 4], [5, 5, 5, 5]]
        session.run(step)
        for output in (first, second):
            assert session.run(output).tolist() == [[0.5, 1.5, 2.5, 3.5], [4.5] * 4]


def test_frozen_layer(texts, graph):
    column = hub.text_embedding_column("text", texts, trainable=True)
    dense_features(column, FEATURES, trainable=False)
    assert names("variables") == ["module/weights:0"]
    assert names("trainable_variables") == []


def test_images_in_a_layer(images, graph):
    (found,) = values(*dense_features(hub.image_embedding_column("image", images), FEATURES, 1))
    np.testing.assert_allclose(found, [[0.5, 0.7, 0.9]] * 2, rtol=1e-6)
    assert names("trainable_variables") == []


@pytest.mark.parametrize("of_layer", [False, True])
def test_calls_of_a_layer_of_sparse_texts_share_nothing(of_layer, texts, graph):
    column = hub.sparse_text_embedding_column("words", texts, "sum", "", trainable=True)
    outputs = dense_features(column, {}, trainable=of_layer)
    assert names("trainable_variables") == ["module/weights:0", "module_1/weights:0"]
    for found in values(*outputs):
        assert found.tolist() == [SUM, [0] * 4]


def test_eager_execution(texts):
    with pytest.raises(hub.GraphModeError, match="TensorFlow executes eagerly here"):
        dense_features(hub.text_embedding_column("text", texts), FEATURES)
