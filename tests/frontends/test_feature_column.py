"""Feature columns of TF1 Hub modules. What is expected, the original library computed."""

import copy
import pathlib

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import hub_keras_bridge as hub

v1 = tf.compat.v1
input_layer = v1.feature_column.input_layer
columns = tf.__internal__.feature_column

WORDS = ["hello world", "pair-programming"]
PIXELS = [[[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]]
FEATURES = {"text": WORDS, "other": [["hello world"], ["unknown"]], "image": [PIXELS, PIXELS]}


def texts_fn():
    """A vocabulary of two, and zeros for all else."""
    keys = tf.constant(["", *WORDS])
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(keys, tf.range(3, dtype=tf.int64)), 0
    )
    weights = v1.get_variable(
        "weights", initializer=[[0.0, 0, 0, 0], [1.0, 2, 3, 4], [5.0, 5, 5, 5]]
    )
    texts = v1.placeholder(tf.string, [None], name="text")
    hub.add_signature(inputs=texts, outputs=tf.gather(weights, table.lookup(texts)))


def regularized_fn():
    """With all that a training graph collects."""
    texts = v1.placeholder(tf.string, [None])
    w = v1.get_variable("w", initializer=[[1.0, 2.0]], regularizer=lambda w: 0.5 * tf.reduce_sum(w))
    calls = v1.get_variable("calls", initializer=0.0, trainable=False)
    v1.add_to_collection("update_ops", calls.assign_add(1.0))
    lengths = tf.cast(tf.strings.length(texts), tf.float32)
    hub.add_signature(inputs=texts, outputs=lengths[:, None] * w)


def images_fn(shape=(None, 1, 2, 3)):
    images = v1.placeholder(tf.float32, shape)
    weight = v1.get_variable("weight", initializer=[1.0])
    sums = tf.reduce_sum(images, axis=[1, 2]) * weight
    hub.add_signature(inputs={"images": images}, outputs=tf.ensure_shape(sums, [None, 3]))


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


# --- the columns themselves ---


def test_paths_of_old_code():
    for name in ("text", "sparse_text", "image"):
        made_by = f"{name}_embedding_column"
        assert getattr(hub.feature_column, made_by) is getattr(hub, made_by)
    assert hub.feature_column_v2.text_embedding_column_v2 is hub.text_embedding_column_v2


@pytest.fixture
def of_text(publish):
    return hub.text_embedding_column("text", publish(texts_fn), trainable=True)


@pytest.fixture
def of_image(publish):
    return hub.image_embedding_column("image", publish(images_fn), image_size=(1, 2))


def test_facts(of_text, of_image, texts):
    of_words = hub.sparse_text_embedding_column("words", texts, "sum", None)
    assert of_text == ("text", of_text.module_spec_path, True)
    assert of_image == ("image", of_image.module_spec_path, (1, 2))
    assert of_words == ("words", "sum", texts, None, False)
    assert repr(of_text) == (
        f"_TextEmbeddingColumn(key='text', module_spec_path={of_text.module_spec_path!r}, "
        "trainable=True)"
    )
    assert type(of_image).__name__ == "_ImageEmbeddingColumn"
    assert type(of_words).__name__ == "_SparseTextEmbeddingColumn"
    for column, key, size in ((of_text, "text", 4), (of_image, "image", 3), (of_words, "words", 4)):
        assert column.name == f"{key}_hub_module_embedding"
        assert column.parents == [key]
        assert column.variable_shape == column._variable_shape == [size]
        assert column.parse_example_spec == column._parse_example_spec
        assert column.dtype == tf.float32
        assert column._is_v2_column
        assert isinstance(column, columns.DenseColumn)
    assert hub.get_expected_image_size(of_image.module_spec) == [1, 2]


def test_copies_are_equal(of_text, of_image):
    for column in (of_text, of_image):
        for copied in (copy.deepcopy(column), copy.copy(column), type(column)(*column)):
            assert copied == column
            assert {column: "found"}[copied] == "found"
            assert copied.variable_shape == column.variable_shape
    assert of_text != hub.text_embedding_column("text", of_text.module_spec_path)


def test_configs(of_text, of_image):
    assert of_text.get_config() == {
        "key": "text",
        "module_spec_path": of_text.module_spec_path,
        "trainable": True,
    }
    assert of_image.get_config() == {
        "key": "image",
        "module_spec_path": of_image.module_spec_path,
        "image_size": (1, 2),
    }
    for column in (of_text, of_image):
        config = columns.serialize_feature_column(column)
        known = {type(column).__name__: type(column)}
        assert columns.deserialize_feature_column(config, custom_objects=known) == column


def test_config_of_a_path(of_text):
    path = pathlib.Path(of_text.module_spec_path)
    column = hub.text_embedding_column("text", path)
    assert column.get_config()["module_spec_path"] == str(path)


def test_columns_without_a_config(texts, images):
    for column in (
        hub.text_embedding_column("text", texts),
        hub.image_embedding_column("image", images),
    ):
        with pytest.raises(NotImplementedError) as caught:
            column.get_config()
        assert str(caught.value) == (
            "Can only generate a config of a feature column made of a module's handle.\n"
            "  In: module '(not published yet)'\n"
            "  Expected: a handle as module_spec\n"
            "  Found: a ModuleSpec\n"
            "  What to do: export the module, and make the column of the path"
        )
        assert isinstance(caught.value, hub.ConfigError)
    with pytest.raises(hub.ConfigError) as caught:
        hub.sparse_text_embedding_column("words", texts, "sum", None).get_config()
    assert str(caught.value) == (
        "Can generate no config of a feature column of sparse texts.\n"
        "  In: module '(not published yet)'\n"
        "  What to do: make the column and its layer again, and load the weights into that"
    )


# --- modules that are none for a column ---


def of_signature(inputs, outputs, name=None):
    def module_fn():
        given = inputs()
        hub.add_signature(name, inputs=given, outputs=outputs(given))

    return hub.create_module_spec(module_fn)


def lengths(texts, shape=(1, 2)):
    floats = tf.cast(tf.strings.length(texts), tf.float32)
    return tf.reshape(floats, [-1] + [1] * (len(shape) - 1)) * tf.ones(shape)


def strings(*shape):
    return lambda: v1.placeholder(tf.string, shape)


def images_of(*shape, dtype=tf.float32, name="images"):
    return lambda: {name: v1.placeholder(dtype, shape)}


def sums(inputs):
    (given,) = inputs.values()
    return tf.reduce_sum(tf.cast(given, tf.float32), [1, 2])


NO_TEXTS = {
    "fixed batch": (
        (strings(10), lambda x: tf.zeros([10, 3])),
        "input 'default': string [10]; output 'default': float32 [10, 3]",
    ),
    "two inputs": (
        (lambda: {"a": strings(None)(), "b": strings(None)()}, lambda x: lengths(x["a"] + x["b"])),
        "inputs: 'a', 'b'",
    ),
    "no text": (
        (lambda: v1.placeholder(tf.float32, [None]), lambda x: x[:, None] * tf.ones([1, 2])),
        "input 'default': float32 [?]",
    ),
    "sparse": (
        (lambda: v1.sparse_placeholder(tf.string, [None]), lambda x: lengths(x.values)),
        "input 'default': sparse string [?]",
    ),
    "another rank": ((strings(None, 1), lengths), "input 'default': string [?, 1]"),
    "no default": ((strings(None), lambda x: {"y": lengths(x)}), "outputs: 'y'"),
    "no floats": (
        (strings(None), lambda x: tf.strings.length(x)[:, None]),
        "output 'default': int32 [?, 1]",
    ),
    "unknown size": (
        (strings(None), lambda x: tf.zeros([tf.shape(x)[0], tf.shape(x)[0]])),
        "output 'default': float32 [?, ?]",
    ),
    "vectors of vectors": (
        (strings(None), lambda x: lengths(x, (1, 2, 2))),
        "output 'default': float32 [?, 2, 2]",
    ),
    "another signature": ((strings(None), lengths, "other"), "signatures: 'other'"),
}


@pytest.mark.parametrize("case", NO_TEXTS)
def test_modules_that_embed_no_texts(case):
    signature, found = NO_TEXTS[case]
    spec = of_signature(*signature)
    for make in (
        lambda: hub.text_embedding_column("text", spec),
        lambda: hub.sparse_text_embedding_column("text", spec, "none", None),
    ):
        with pytest.raises(ValueError, match="only one input") as caught:
            make()
        assert str(caught.value) == (
            "Cannot make a feature column: the module is no text embedding.\n"
            "  In: module '(not published yet)', signature 'default'\n"
            "  Expected: only one input, string [?], and an output 'default', float32 [?, dim] "
            "with a known dim\n"
            f"  Found: {found}\n"
            "  What to do: apply the module as hub.Module or hub.ModuleLayer, which take any "
            "signature"
        )
        assert isinstance(caught.value, hub.SignatureError)


NO_IMAGES = {
    "another name": (
        (images_of(None, 2, 2, 3, name="pictures"), sums),
        "input 'pictures': float32 [?, 2, 2, 3]",
    ),
    "integers": (
        (images_of(None, 2, 2, 3, dtype=tf.uint8), sums),
        "input 'images': uint8 [?, 2, 2, 3]",
    ),
    "two inputs": (
        (
            lambda: {**images_of(None, 2, 2, 3)(), "m": v1.placeholder(tf.float32, [])},
            lambda x: sums({"images": x["images"]}) * x["m"],
        ),
        "input 'images': float32 [?, 2, 2, 3], input 'm': float32 []",
    ),
    "no default": (
        (images_of(None, 2, 2, 3), lambda x: {"y": sums(x)}),
        "output 'y': float32 [?, 3]",
    ),
    "maps of features": (
        (images_of(None, 2, 2, 3), lambda x: tf.reduce_sum(x["images"], 1)),
        "output 'default': float32 [?, 2, 3]",
    ),
}


@pytest.mark.parametrize("case", [*NO_IMAGES, "free size"])
def test_modules_that_embed_no_images(case):
    free_size = (images_of(None, None, None, 3), sums), "image size: shape [?, ?, ?, 3]"
    signature, found = NO_IMAGES.get(case, free_size)
    spec = of_signature(*signature)
    for size in [None] if case == "free size" else [None, (2, 2)]:
        with pytest.raises(hub.SignatureError) as caught:
            hub.image_embedding_column("image", spec, image_size=size)
        assert str(caught.value) == (
            "Cannot make a feature column: the module is no image embedding.\n"
            "  In: module '(not published yet)', signature 'default'\n"
            "  Expected: only one input, 'images', float32, of known size, and an output "
            "'default', float32 [?, dim] with a known dim\n"
            f"  Found: {found}\n"
            "  What to do: pass image_size=(height, width) if that is all it lacks; else apply "
            "the module as hub.Module or hub.ModuleLayer, which take any signature"
        )


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((None, 2, 2, 1), None),
        ((5, 2, 2, 3), None),
        ((None, None, None, 3), (2, 2)),
        (None, (2, 2)),
    ],
)
def test_modules_that_common_signatures_leave_out(shape, size):
    inputs = lambda: {"images": v1.placeholder(tf.float32, shape)}  # noqa: E731
    spec = of_signature(inputs, lambda x: tf.ensure_shape(sums(x) * tf.ones([1, 3]), [None, 3]))
    assert hub.image_embedding_column("image", spec, image_size=size).variable_shape == [3]


@pytest.mark.parametrize("combiner", ["max", "Mean", None])
def test_no_such_combiner(combiner, texts):
    with pytest.raises(hub.InputError) as caught:
        hub.sparse_text_embedding_column("words", texts, combiner, None)
    assert str(caught.value) == (
        "Cannot make a feature column of texts: there is no such combiner.\n"
        "  In: module '(not published yet)'\n"
        "  Expected: combiner 'mean', 'sqrtn' or 'sum'\n"
        f"  Found: {combiner!r}\n"
        "  What to do: pass one of these as combiner=..."
    )


def test_no_module(tmp_path):
    with pytest.raises(OSError, match="there is no such directory"):
        hub.text_embedding_column("text", tmp_path / "none")
