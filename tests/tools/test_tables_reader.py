"""Files of examples, read in batches of tensors."""

import gzip
import io
import json
import os
import sys

import numpy as np
import pytest
import tensorflow as tf

from hub_keras_bridge.errors import TableError
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.tools.apply.formats import input_format, output_format
from hub_keras_bridge.tools.apply.reader import read_batches

FLOATS = {"x": ParsedTensorInfo(tf.TensorSpec([None, 2], tf.float32), ("x:0",))}
STRINGS = {"text": ParsedTensorInfo(tf.TensorSpec([None], tf.string), ("x:0",))}
BOTH = {
    "ids": ParsedTensorInfo(tf.TensorSpec([None, None], tf.int32), ("a:0",)),
    "label": ParsedTensorInfo(tf.TensorSpec([None], tf.string), ("b:0",)),
}
RAGGED = {
    "ids": ParsedTensorInfo(tf.RaggedTensorSpec([None, None], tf.int64, 1, tf.int64), ("a", "b"))
}
SPARSE = {"x": ParsedTensorInfo(tf.SparseTensorSpec([None, 3], tf.float32), ("a", "b", "c"))}


@pytest.fixture
def file(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


@pytest.fixture
def arrays(tmp_path):
    def write(name, array):
        np.save(tmp_path / name, array)
        return str(tmp_path / name)

    return write


def read(path, inputs, size=2, **kwargs):
    return list(read_batches(path, input_format(path), inputs, size, **kwargs))


def values(batches, name):
    return [batch.columns[name].numpy().tolist() for batch in batches]


def refusal(path, inputs, **kwargs):
    with pytest.raises(TableError) as caught:
        read(path, inputs, **kwargs)
    return str(caught.value)


# --- text ---


def test_text(file):
    batches = read(file("a.txt", "a cat\r\n\nsät\n"), STRINGS)
    assert values(batches, "text") == [[b"a cat", b""], ["sät".encode()]]
    assert [batch.rows for batch in batches] == [2, 1]


def test_bytes_that_are_no_utf8_pass_and_the_byte_order_mark_does_not(file):
    assert values(read(file("a.txt", b"\xef\xbb\xbfa\n\xff"), STRINGS), "text") == [[b"a", b"\xff"]]


def test_gzip(tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"a\nb\n"))
    assert values(read(str(path), STRINGS), "text") == [[b"a", b"b"]]


def test_cut_gzip(tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"a\nb\n" * 100)[:-12])
    message = refusal(str(path), STRINGS)
    assert f"Cannot read {str(path)!r}." in message
    assert "end-of-stream marker" in message


def test_gzip_in_name_only(file):
    assert "Not a gzipped file" in refusal(file("a.txt.gz", "a"), STRINGS)


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\nb\nc")))
    assert values(read("-", STRINGS), "text") == [[b"a", b"b"], [b"c"]]


def test_text_for_numbers(file):
    message = refusal(file("a.txt", "1\n"), FLOATS)
    assert "Expected: 'x': float32 [?, 2]" in message
    assert "lines of text go to a signature with one string input" in message


def test_no_file(tmp_path):
    assert "No such file" in refusal(str(tmp_path / "no.txt"), STRINGS)


# --- JSON lines ---


def test_json_objects_and_bare_values(file):
    path = file("a.jsonl", '{"x": [1, 2.5], "more": null}\n\n[3, 4]\n{"x": [5, 6]}')
    assert values(read(path, FLOATS), "x") == [[[1.0, 2.5], [3.0, 4.0]], [[5.0, 6.0]]]


def test_json_several_inputs_of_a_free_length(file):
    rows = [{"ids": [1], "label": "a"}, {"ids": [2], "label": "b"}, {"ids": [3, 4], "label": "c"}]
    batches = read(file("a.jsonl", "\n".join(map(json.dumps, rows))), BOTH)
    assert values(batches, "ids") == [[[1], [2]], [[3, 4]]]
    assert batches[0].columns["ids"].dtype == tf.int32


def test_json_ragged(file):
    (batch,) = read(file("a.jsonl", "[1, 2]\n[]"), RAGGED)
    assert batch.columns["ids"].to_list() == [[1, 2], []]


def test_json_sparse_from_dense_rows(file):
    (batch,) = read(file("a.jsonl", "[0, 2, 0]\n[0, 0, 3]"), SPARSE)
    assert batch.columns["x"].indices.numpy().tolist() == [[0, 1], [1, 2]]
    assert batch.columns["x"].values.numpy().tolist() == [2.0, 3.0]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("[1, 2", "delimiter"),
        ('{"y": [1, 2]}', "the keys 'y'"),
        ("[1, 2, 3]", "shape [1, 3]"),
        ('["a", "b"]', "list of <U1"),
        ("[1, null]", "object"),
        ("7", "shape [1]"),
        ("\xff", "Expecting value"),
    ],
)
def test_broken_json_line_is_named(file, line, found):
    message = refusal(file("a.jsonl", f"[1, 2]\n\n{line}\n[3, 4]\n"), FLOATS, size=64)
    assert "line 3." in message
    assert found in message


def test_fraction_for_an_integer_is_refused(file):
    message = refusal(file("a.jsonl", '{"ids": [1.5], "label": "a"}'), BOTH)
    assert "line 1." in message
    assert "rows of int32 [?, ?] for input 'ids'" in message


def test_rows_of_different_lengths_in_a_batch(file):
    rows = '{"ids": [1], "label": "a"}\n{"ids": [1, 2], "label": "a"}'
    message = refusal(file("a.jsonl", rows), BOTH)
    assert "lines 1 to 2." in message
    assert "pad the rows to one length" in message


# --- CSV ---


def test_csv(file):
    path = file("a.csv", '\ufeffid,label,ids[1],ids[0]\n1,"a, ""b""\nc",20,10\n\n2,d,40,30\n')
    (batch,) = read(path, BOTH)
    assert batch.columns["label"].numpy().tolist() == [b'a, "b"\nc', b"d"]
    assert batch.columns["ids"].numpy().tolist() == [[10, 20], [30, 40]]


def test_csv_scalars_keep_their_precision(file):
    inputs = {
        "n": ParsedTensorInfo(tf.TensorSpec([None], tf.int64), ("n:0",)),
        "b": ParsedTensorInfo(tf.TensorSpec([None], tf.bool), ("b:0",)),
        "d": ParsedTensorInfo(tf.TensorSpec([None], tf.float64), ("d:0",)),
    }
    (batch,) = read(file("a.csv", "n,b,d\n9007199254740993,true,0.1\n-1,0,1e300\n"), inputs)
    assert values([batch], "n") == [[9007199254740993, -1]]
    assert values([batch], "b") == [[True, False]]
    assert values([batch], "d") == [[0.1, 1e300]]


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("x[0],x[2]\n1,2\n", 1, "columns 'x[0]', 'x[2]'"),
        ("x[0]\n1\n", 1, "columns 'x[0]'"),
        ("x[0],x[1],x[1]\n1,2,3\n", 1, "columns"),
        ("", 1, "the columns none"),
        ("x[0],x[1]\n1,2\n1\n", 3, "1 fields"),
        ("x[0],x[1]\n1,cat\n", 2, "'cat'"),
        ('x[0],x[1]\n1,"2"3\n', 2, "expected after"),
        ('x[0],x[1]\n1,2\n"1,2\n', 3, "unexpected end of data"),
        (b"x[0],x[1]\n1,2\n1,\xff\n", 3, "can't decode"),
    ],
)
def test_broken_csv_line_is_named(file, text, line, found):
    message = refusal(file("a.csv", text), FLOATS)
    assert f"line {line}." in message
    assert found in message


def test_csv_for_matrices(file):
    inputs = {"x": ParsedTensorInfo(tf.TensorSpec([None, 2, 2], tf.float32), ("x:0",))}
    message = refusal(file("a.csv", "x\n1\n"), inputs)
    assert "input 'x': float32 [?, 2, 2]" in message
    assert "use JSON lines, .npy or .npz" in message


# --- arrays ---


def test_npy(arrays):
    batches = read(arrays("a.npy", np.arange(6.0).reshape(3, 2)), FLOATS)
    assert values(batches, "x") == [[[0.0, 1.0], [2.0, 3.0]], [[4.0, 5.0]]]
    assert batches[0].columns["x"].dtype == tf.float32


@pytest.mark.parametrize("dtype", [">f4", "<f2", "<i2"])
def test_npy_of_other_dtypes(arrays, dtype):
    path = arrays("a.npy", np.array([[1, 2]], dtype))
    assert values(read(path, FLOATS), "x") == [[[1.0, 2.0]]]


@pytest.mark.parametrize("dtype", ["S", "U"])
def test_npy_of_strings(arrays, dtype):
    path = arrays("a.npy", np.array(["a", "cat"], dtype))
    assert values(read(path, STRINGS), "text") == [[b"a", b"cat"]]


def test_npz(tmp_path):
    path = str(tmp_path / "a.npz")
    labels = np.array([b"a", b"b", b"c"])
    np.savez_compressed(path, ids=np.arange(6).reshape(3, 2), label=labels, more=np.ones(7))
    batches = read(path, BOTH)
    assert values(batches, "ids") == [[[0, 1], [2, 3]], [[4, 5]]]
    assert values(batches, "label") == [[b"a", b"b"], [b"c"]]


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.array([["a", None]], object), "Python objects"),
        (np.float32(1), "a single value"),
        (np.ones((3, 2)).T.copy().T, "Fortran order"),
        (np.ones((3, 5), np.float32), "shape [2, 5]"),
        (np.full((3, 2), 1j), "complex128"),
        (np.array([["a", "b"]]), "<U1"),
    ],
)
def test_unfit_array(arrays, array, found):
    assert found in refusal(arrays("a.npy", array), FLOATS)


@pytest.mark.parametrize(
    ("array", "advice"),
    [
        (np.full((3, 2), 0.5), 'array.astype("int32")'),
        (np.ones(2, np.int32), "value[None]"),
    ],
)
def test_advice_on_an_array(arrays, array, advice):
    path, inputs = arrays("a.npy", array), {"ids": BOTH["ids"]}
    last = refusal(path, inputs).splitlines()[-1]
    assert last.startswith("  What to do: ")
    assert advice in last
    mended = eval(advice, {"array": array, "value": array})
    assert len(read(arrays("a.npy", mended), inputs)) > 0


def test_advice_on_a_line(file):
    told = refusal(file("a.jsonl", "[1, 2]\n[1]\n"), FLOATS)
    assert "line 2" in told
    assert told.endswith("What to do: mend the values, or remove the line")


def test_cut_npy(arrays):
    path = arrays("a.npy", np.ones((3, 2)))
    with open(path, "r+b") as stream:
        stream.truncate(150)
    assert "cut short" in refusal(path, FLOATS)


def test_no_npy(file):
    assert "magic string" in refusal(file("a.npy", "<html>, all of it"), FLOATS)
    assert "not a zip file" in refusal(file("a.npz", "<html>"), FLOATS)


def test_one_array_for_two_inputs(arrays):
    assert "use .npz for several" in refusal(arrays("a.npy", np.ones(2)), BOTH)


def test_unfit_npz(tmp_path):
    path = str(tmp_path / "a.npz")
    np.savez(path, ids=np.ones((2, 2), int))
    assert "the arrays ['ids'], without ['label']" in refusal(path, BOTH)
    np.savez(path, ids=np.ones((2, 2), int), label=np.array(["a"]))
    assert "different numbers of rows: {'ids': 2, 'label': 1}" in refusal(path, BOTH)


# --- all ---


@pytest.mark.parametrize("name", ["a.jsonl", "a.npy"])
@pytest.mark.parametrize(("limit", "rows"), [(1, [1]), (2, [2]), (3, [2, 1]), (9, [2, 2])])
def test_limit(file, arrays, name, limit, rows):
    path = arrays(name, np.ones((4, 2))) if name == "a.npy" else file(name, "[1, 1]\n" * 4)
    assert [batch.rows for batch in read(path, FLOATS, limit=limit)] == rows


def test_fixed_batch_size_is_no_matter_of_the_reader(file):
    inputs = {"x": ParsedTensorInfo(tf.TensorSpec([4, 2], tf.float32), ("x:0",))}
    assert [batch.rows for batch in read(file("a.jsonl", "[1, 1]\n" * 3), inputs)] == [2, 1]


def test_reads_no_further_than_it_must(monkeypatch):
    """A line that would break is not reached: nothing is read ahead."""

    def lines():
        yield from [b"a\n", b"b\n"]
        raise AssertionError("read on")

    class Stdin:
        buffer = lines()

    monkeypatch.setattr(sys, "stdin", Stdin)
    batches = read_batches("-", "text", STRINGS, 2)
    assert next(batches).rows == 2
    with pytest.raises(AssertionError, match="read on"):
        next(batches)


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_bytes_read_add_up_to_the_size_of_the_file(file, name):
    content = b"some words\n" * 50_000
    path = file(name, gzip.compress(content) if name.endswith("gz") else content)
    batches = list(read_batches(path, "text", STRINGS, 1000))
    assert sum(batch.rows for batch in batches) == 50_000
    assert sum(batch.bytes_read for batch in batches) == os.path.getsize(path)
    assert len(batches) == 50


def test_name_that_tells_no_format():
    with pytest.raises(TableError, match=r"a name in \.txt, \.csv, .* or \.npz"):
        input_format("a.xlsx")
    with pytest.raises(TableError, match="with one of npy, npz, jsonl, parquet"):
        output_format("a.txt")
