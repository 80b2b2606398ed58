"""From a file with an embedding per token to a module."""

import gzip
import os
import tracemalloc

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from hub_keras_bridge.publishing import blocks as of_a_matrix
from hub_keras_bridge.publishing.common_signatures import check_common_signature
from hub_keras_bridge.publishing.text_embedding import publish_text_embedding

VECTORS = {
    "the": [0.5, -1.0, 2.0],
    "cat": [0.25, 3.0, -4.5],
    "sät": [1.5, 0.0, 1e-3],
    "猫": [-2.0, 7.0, 0.125],
    "it's": [9.0, 8.0, 7.0],
    "Cat": [0.0, -0.5, 0.75],
}
LINES = [" ".join([token, *map(str, numbers)]) for token, numbers in VECTORS.items()]
HEADER = "6 3"

SENTENCES = [
    "the cat",
    "",
    "cat cat cat",
    "the  unknown   cat ",
    " ",
    "猫 sät",
    "it's Cat",
    "unknown, unheard-of",
    "the cat, the 猫!",
    "«the» cat。",
    "",
]


@pytest.fixture
def file(tmp_path):
    """Writes lines (str or bytes) to a file; returns its path."""

    def file(lines=LINES, name="vectors.txt", end="\n"):
        raw = [line if isinstance(line, bytes) else line.encode() for line in lines]
        path = tmp_path / name
        path.write_bytes(b"".join(line + end.encode() for line in raw))
        return path

    return file


@pytest.fixture
def layer(file, tmp_path):
    """A layer of what is published from lines."""

    def layer(lines=LINES, **kwargs):
        publish_text_embedding(file(lines), tmp_path / "module", **kwargs)
        return hub.ModuleLayer(tmp_path / "module", trainable=True)

    return layer


def texts(sentences=SENTENCES):
    return tf.constant(sentences)


def rows_of(sentence, buckets):
    """The rows of the matrix that a sentence is made of."""
    known = list(VECTORS)
    for token in sentence.split(" "):
        if token in VECTORS:
            yield known.index(token)
        elif token and buckets:
            yield len(known) + int(tf.strings.to_hash_bucket_fast(token, buckets))


def expected(matrix, buckets, sentences=SENTENCES):
    found = np.zeros([len(sentences), 3], np.float32)
    for number, sentence in enumerate(sentences):
        rows = list(rows_of(sentence, buckets))
        if rows:
            found[number] = matrix[rows].sum(axis=0) / np.sqrt(len(rows))
    return found


@pytest.mark.parametrize("buckets", [0, 1, 5])
def test_sentences(layer, buckets):
    layer = layer(num_oov_buckets=buckets)
    zeros = np.zeros([buckets, 3])
    matrix = np.concatenate([list(VECTORS.values()), zeros]).astype(np.float32)
    found = layer(texts())
    np.testing.assert_array_equal(layer.variable_map["embeddings"], matrix)
    np.testing.assert_allclose(found, expected(matrix, buckets), atol=1e-6)

    # Rows of zeros would hide which of them are in use.
    matrix += np.random.default_rng(0).normal(size=matrix.shape).astype(np.float32)
    layer.variable_map["embeddings"].assign(matrix)
    np.testing.assert_allclose(layer(texts()), expected(matrix, buckets), atol=1e-6)


def test_unknown_tokens_count_only_with_buckets(layer, tmp_path):
    alone, beside = layer(num_oov_buckets=1)(texts(["cat", "cat unknown"]))
    np.testing.assert_allclose(beside, alone / np.sqrt(2), atol=1e-6)
    (tmp_path / "module").rename(tmp_path / "with_bucket")
    alone, beside = layer(num_oov_buckets=0)(texts(["cat", "cat unknown"]))
    np.testing.assert_array_equal(beside, alone)


def test_preprocessing_removes_punctuation_and_keeps_case(layer):
    found = layer(preprocess_text=True)(texts()).numpy()
    plain = [
        "the cat",
        "",
        "cat cat cat",
        "the unknown cat",
        "",
        "猫 sät",
        "its Cat",
        "unknown unheardof",
        "the cat the 猫",
        "the cat",
        "",
    ]
    matrix = np.array([*VECTORS.values(), [0, 0, 0]], np.float32)
    np.testing.assert_allclose(found, expected(matrix, 1, plain), atol=1e-6)


@pytest.mark.parametrize("sentences", [[], [""], ["", "", ""], ["unknown"]])
@pytest.mark.parametrize("buckets", [0, 1])
def test_nothing_to_look_up(layer, buckets, sentences):
    found = layer(num_oov_buckets=buckets)(tf.constant(sentences, tf.string))
    np.testing.assert_array_equal(found, np.zeros([len(sentences), 3]))


def test_follows_the_common_signature(file, tmp_path):
    publish_text_embedding(file(), tmp_path / "module")
    spec = hub.load_module_spec(tmp_path / "module")
    assert check_common_signature(spec, "text-embedding").findings == ()
    assert spec.get_signature_names() == ["default"]
    assert list(spec.get_input_info_dict()) == ["sentences"]
    assert spec.get_output_info_dict()["default"].get_shape().as_list() == [None, 3]


def test_fine_tuning_touches_only_what_is_used(layer):
    layer = layer()
    model = keras.Sequential([layer, keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    before = np.array([*VECTORS.values(), [0, 0, 0]])
    data = tf.data.Dataset.from_tensors((texts(["the cat", "unknown"]), tf.ones([2, 1])))
    model.fit(data, epochs=1, verbose=0)
    changed = np.any(layer.variable_map["embeddings"].numpy() != before.astype(np.float32), axis=1)
    assert changed.tolist() == [True, True, False, False, False, False, True]


def test_gradient_is_sparse(layer):
    layer = layer(num_oov_buckets=0)
    x = texts(["the cat the", ""])
    layer(x)
    (weight,) = layer.trainable_weights
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(x))
    gradient = tape.gradient(total, weight.value)
    assert isinstance(gradient, tf.IndexedSlices)
    dense = tf.convert_to_tensor(gradient).numpy()
    np.testing.assert_allclose(dense[:, 0], [2 / 3**0.5, 1 / 3**0.5, 0, 0, 0, 0], atol=1e-6)


def test_tuned_module_can_be_exported(layer, tmp_path):
    layer = layer()
    layer(texts())
    layer.variable_map["embeddings"].assign_add(tf.ones([7, 3]))
    layer.export_module(tmp_path / "tuned")
    again = hub.ModuleLayer(tmp_path / "tuned")
    np.testing.assert_array_equal(again(texts()), layer(texts()))


# --- the file ---


@pytest.mark.parametrize(
    ("lines", "end"),
    [
        (LINES, "\n"),
        ([HEADER, *LINES], "\n"),
        ([HEADER, *LINES], " \n"),
        (LINES, "\r\n"),
        (["\ufeff" + LINES[0], *LINES[1:]], "\n"),
        (["\ufeff" + HEADER, *LINES], "\n"),
    ],
    ids=["glove", "header", "space behind the last number", "windows", "mark", "mark and header"],
)
def test_dialects(file, tmp_path, lines, end):
    found = publish_text_embedding(file(lines, end=end), tmp_path / "module")
    assert (found.tokens, found.dim) == (6, 3)
    assert (tmp_path / "module/assets/vocabulary.txt").read_text().split("\n") == [*VECTORS, ""]
    matrix = hub.ModuleLayer(tmp_path / "module").variable_map["embeddings"].numpy()
    np.testing.assert_array_equal(matrix[:6], np.array(list(VECTORS.values()), np.float32))


def test_no_newline_at_the_end(file, tmp_path):
    path = file()
    path.write_bytes(path.read_bytes().removesuffix(b"\n"))
    assert publish_text_embedding(path, tmp_path / "module").tokens == 6


def test_gzip(file, tmp_path):
    packed = tmp_path / "vectors.txt.gz"
    packed.write_bytes(gzip.compress(file().read_bytes()))
    assert publish_text_embedding(str(packed), str(tmp_path / "module")).tokens == 6
    packed.write_bytes(packed.read_bytes()[:-20])
    assert_refused(packed, tmp_path, "Cannot publish a text embedding: its file cannot be read.")
    packed.write_bytes(file().read_bytes())
    assert_refused(packed, tmp_path, "Not a gzipped file")


def test_a_token_and_one_integer_are_a_header_only_in_line_1(file, tmp_path):
    assert publish_text_embedding(file(["2 1", "7 5", "8 5"]), tmp_path / "m").tokens == 2


def assert_refused(path, tmp_path, *parts, **kwargs):
    """It is an error that says all this, and there is no trace of it."""
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(hub.PublishError) as caught:
        publish_text_embedding(path, tmp_path / "refused" / "m", **kwargs)
    assert caught.value.subject.module == str(path)
    for part in parts:
        assert part in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("dog 1 2", "line 3, token 'dog': has 2 numbers"),
        ("dog 1 2 3 4", "line 3, token 'dog': has 4 numbers"),
        ("dog", "line 3, token 'dog': has 0 numbers"),
        ("dog\t1\t2\t3", r"line 3, token 'dog\t1\t2\t3': has 0 numbers"),
        ("hot dog 1 2 3", "line 3, token 'hot': has 4 numbers"),
        ("dog 1 two 3", "line 3, token 'dog': has 'two' in place of a number"),
        ("dog 1  3", "line 3, token 'dog': has '' in place of a number"),
        ("dog 1 nan 3", "line 3, token 'dog': has a number that is not finite"),
        ("dog 1 1e39 3", "line 3, token 'dog': has a number that is not finite, or too large"),
        (" 1 2 3", "line 3, token '': is empty"),
        ("", "line 3, token '': is empty"),
        ("the 1 2 3", "line 3, token 'the': stands in an earlier line, too"),
        (b"d\xf6g 1 2 3", r"line 3, token 'd\\xf6g': is not UTF-8"),
        ("d\rg 1 2 3", r"line 3, token 'd\rg': has a carriage return in it"),
        (HEADER, "line 3, token '6': has 1 numbers"),
    ],
)
def test_broken_line(file, tmp_path, line, found):
    path = file([*LINES[:2], line, *LINES[2:]])
    assert_refused(path, tmp_path, "it has broken lines", found, "3 numbers as the first sound")


def test_broken_first_line(file, tmp_path):
    path = file(["oops", *LINES])
    assert_refused(path, tmp_path, "line 1, token 'oops': has 0 numbers", "then 3 numbers")


def test_many_broken_lines(file, tmp_path):
    path = file([*LINES, *(f"dog{i} 1" for i in range(25))])
    assert_refused(path, tmp_path, "line 7, token 'dog0'", "line 16, token 'dog9'", "and 15 more")


def test_long_token_is_cut(file, tmp_path):
    with pytest.raises(hub.PublishError) as caught:
        publish_text_embedding(file([*LINES, "x" * 10_000]), tmp_path / "m")
    assert len(str(caught.value)) < 1000


def test_broken_header(file, tmp_path):
    assert_refused(file(["7 3", *LINES]), tmp_path, "its first line says", "7 tokens", "Found: 6")
    assert_refused(file(["6 4", *LINES]), tmp_path, "token 'the': has 3 numbers", "the header")


def test_empty_file(file, tmp_path):
    assert_refused(file([]), tmp_path, "it is empty", "no lines")


def test_no_file(tmp_path):
    assert_refused(tmp_path / "no.txt", tmp_path, "cannot be read", "No such file")
    assert_refused(tmp_path, tmp_path, "cannot be read", "directory")


def test_negative_number_of_buckets(file, tmp_path):
    assert_refused(file(), tmp_path, "the number of buckets is negative", num_oov_buckets=-1)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda path: path.write_text("\n".join(LINES[:2])), "Found: fewer lines"),
        (lambda path: path.write_text("\n".join([*LINES, "dog 1 2 3"])), "Found: more lines"),
        (lambda path: path.write_text("\n".join(LINES[::-1])), "Found: other tokens"),
        (lambda path: path.write_text("the 1 2"), "line 1, token 'the': has 2 numbers"),
    ],
)
def test_file_that_changes_meanwhile(file, tmp_path, change, found):
    path = file()

    def after_first_reading(_):
        change(path)

    with pytest.raises(hub.PublishError, match="changed between two readings") as caught:
        publish_text_embedding(path, tmp_path / "m", progress=after_first_reading)
    assert found in str(caught.value)
    assert os.listdir(tmp_path) == ["vectors.txt"]


# --- the target ---


def test_target_that_exists(file, tmp_path):
    target = tmp_path / "module"
    publish_text_embedding(file(), target)
    before = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    with pytest.raises(hub.ExportError, match="the target exists"):
        publish_text_embedding(file(LINES[:2]), target)
    assert before == {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert sorted(os.listdir(tmp_path)) == ["module", "vectors.txt"]


def test_the_graph_holds_neither_numbers_nor_paths(file, tmp_path):
    path = file([f"token{i} " + " ".join(["0.5"] * 50) for i in range(2000)])
    publish_text_embedding(path, tmp_path / "module")
    graph = (tmp_path / "module" / "saved_model.pb").read_bytes()
    assert len(graph) < 30_000
    assert b"vectors.txt" not in graph
    assert str(tmp_path).encode() not in graph
    assert os.path.basename(os.fsencode(tmp_path)) not in graph


def test_tables_of_different_vocabularies_have_different_names(file, tmp_path):
    def table_name(path):
        spec = hub.load_module_spec(path)
        (table,) = spec.variant(None).resources
        return spec.variant(None).nodes[table].attr["shared_name"].s

    publish_text_embedding(file(), tmp_path / "one")
    publish_text_embedding(file(), tmp_path / "same")
    publish_text_embedding(file(LINES[:3]), tmp_path / "other")
    one, same, other = (table_name(tmp_path / name) for name in ("one", "same", "other"))
    assert one == same != other


@pytest.mark.parametrize("buckets", [0, 1, 4])
def test_many_blocks(layer, monkeypatch, tmp_path, buckets):
    monkeypatch.setattr(of_a_matrix, "_BLOCK_BYTES", 2 * 3 * 4)  # two rows
    layer = layer(num_oov_buckets=buckets)
    matrix = np.concatenate([list(VECTORS.values()), np.zeros([buckets, 3])])
    np.testing.assert_array_equal(layer.variable_map["embeddings"], matrix.astype(np.float32))
    blocks = (6 + buckets + 1) // 2
    names = [f"variables.data-{i:05d}-of-{blocks:05d}" for i in range(blocks)]
    assert sorted(os.listdir(tmp_path / "module" / "variables")) == [*names, "variables.index"]


def test_memory_does_not_grow_with_the_matrix(file, tmp_path, monkeypatch):
    tokens, dim = 5000, 100
    path = file([f"token{i} " + " ".join(["0.5"] * dim) for i in range(tokens)])
    monkeypatch.setattr(of_a_matrix, "_BLOCK_BYTES", 64 * 1024)
    publish_text_embedding(file(name="warm.txt"), tmp_path / "warm")
    tracemalloc.start()
    try:
        publish_text_embedding(path, tmp_path / "module")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The vocabulary, once, and a few blocks.
    assert peak < 0.75 * tokens * dim * 4


def test_progress_adds_up_to_two_readings(file, tmp_path):
    told = []
    path = file([f"token{i} 1 2 3" for i in range(3500)])
    publish_text_embedding(path, tmp_path / "module", progress=told.append)
    assert sum(told) == 2 * path.stat().st_size
    assert len(told) == 8
