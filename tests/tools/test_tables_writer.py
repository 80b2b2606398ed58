"""Files of results: whole or not at all, and readable by the usual readers."""

import json
import os
import sys

import numpy as np
import pytest
import tensorflow as tf

from hub_keras_bridge.errors import TableError
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.tools.apply import writers
from hub_keras_bridge.tools.apply.results import open_writer


def info(shape, dtype):
    return ParsedTensorInfo(tf.TensorSpec(shape, dtype), ("x:0",))


VECTORS = {"v": info([None, 2], tf.float32)}
STRINGS = {"s": info([None], tf.string)}
RAGGED = ParsedTensorInfo(tf.RaggedTensorSpec([None, None], tf.int64, 1, tf.int64), ("a", "b"))


def write(path, batches, outputs=VECTORS, **kwargs):
    format = str(path).rpartition(".")[2]
    with open_writer(str(path), format, outputs, **kwargs) as writer:
        for batch in batches:
            writer.write(batch)


def read_json(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def floats(count, start=0):
    return {"v": np.arange(start, start + 2 * count, dtype=np.float32).reshape(count, 2)}


@pytest.mark.parametrize("counts", [[1], [2, 1], [40] * 30])
def test_npy(tmp_path, counts):
    batches = [floats(count, start) for start, count in enumerate(counts)]
    write(tmp_path / "a.npy", batches)
    found = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.concatenate([batch["v"] for batch in batches]))


def test_npy_of_values_that_lie_otherwise_in_memory(tmp_path):
    array = np.arange(6).reshape(2, 3).T
    write(tmp_path / "a.npy", [{"v": array}, {"v": array[::2]}])
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.concatenate([array, array[::2]]))


def test_npz(tmp_path):
    outputs = {**VECTORS, "scope/n": info([None], tf.int64)}
    batches = [{**floats(n), "scope/n": np.arange(n)} for n in (2, 1)]
    write(tmp_path / "a.npz", batches, outputs)
    with np.load(tmp_path / "a.npz") as found:
        assert sorted(found.files) == ["scope/n", "v"]
        np.testing.assert_array_equal(found["v"], [[0, 1], [2, 3], [0, 1]])
        np.testing.assert_array_equal(found["scope/n"], [0, 1, 0])
    assert os.listdir(tmp_path) == ["a.npz"]


def test_json(tmp_path):
    outputs = {**STRINGS, "r": RAGGED, **VECTORS}
    batch = {"s": np.array(["ä".encode(), b"b"], object), "r": [[1, 2], []], **floats(2)}
    write(tmp_path / "a.jsonl", [batch], outputs)
    assert read_json(tmp_path / "a.jsonl") == [
        {"s": "ä", "r": [1, 2], "v": [0.0, 1.0]},
        {"s": "b", "r": [], "v": [2.0, 3.0]},
    ]


def test_json_of_bytes_that_are_no_text(tmp_path):
    batch = {"s": np.array([b"a", b"\xff"], object)}
    with pytest.raises(TableError) as caught:
        write(tmp_path / "a.jsonl", [batch], STRINGS)
    assert "Cannot write row 2 as JSON." in str(caught.value)
    assert "write .parquet" in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_json_of_floats_is_exact(tmp_path):
    array = np.array([[0.1, np.nan], [np.inf, 1e-45]], np.float32)
    write(tmp_path / "a.jsonl", [{"v": array}])
    rows = [row["v"] for row in read_json(tmp_path / "a.jsonl")]
    np.testing.assert_array_equal(np.array(rows, np.float32), array)


def test_parquet(tmp_path, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(writers, "_ROW_GROUP_BYTES", 100)
    outputs = {**VECTORS, **STRINGS, "m": info([None, 2, 3], tf.int32)}
    batch = {
        **floats(4),
        "s": np.array([b"a", b"\xff", b"", b"d"], object),
        "m": np.arange(24, dtype=np.int32).reshape(4, 2, 3),
    }
    write(tmp_path / "a.parquet", [batch] * 3, outputs)
    table = parquet.read_table(tmp_path / "a.parquet")
    assert parquet.ParquetFile(tmp_path / "a.parquet").num_row_groups == 3
    assert str(table.schema.field("v").type) == "fixed_size_list<element: float>[2]"
    assert table.column("v").to_pylist() == batch["v"].tolist() * 3
    assert table.column("s").to_pylist() == [b"a", b"\xff", b"", b"d"] * 3
    assert table.column("m").to_pylist() == batch["m"].tolist() * 3


def test_parquet_collects_small_batches(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    write(tmp_path / "a.parquet", [floats(2)] * 50)
    assert parquet.ParquetFile(tmp_path / "a.parquet").num_row_groups == 1


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(TableError, match=r"pip install 'hub_keras_bridge\[parquet\]'"):
        write(tmp_path / "a.parquet", [])


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.parquet"])
def test_rows_of_other_shapes_need_json(tmp_path, name):
    if name == "a.parquet":
        pytest.importorskip("pyarrow")
    with pytest.raises(TableError) as caught:
        write(tmp_path / name, [floats(2), {"v": np.ones((1, 3), np.float32)}])
    assert "Cannot write output 'v': its rows have different shapes." in str(caught.value)
    assert "Expected: rows of shape [2], as in the first batch" in str(caught.value)
    assert "Found: shape [3]" in str(caught.value)
    assert os.listdir(tmp_path) == []
    write(tmp_path / "a.jsonl", [floats(2), {"v": np.ones((1, 3), np.float32)}])
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("name", "output", "expected"),
    [
        ("a.npy", info([None], tf.string), "numbers"),
        ("a.npz", RAGGED, "rows of one shape"),
        ("a.jsonl", info([None], tf.complex64), "real numbers or strings"),
    ],
)
def test_what_a_format_does_not_hold(tmp_path, name, output, expected):
    with pytest.raises(TableError) as caught:
        write(tmp_path / name, [], {"y": output})
    assert f"Cannot write output 'y' in the format {name[2:]}." in str(caught.value)
    assert f"Expected: {expected}" in str(caught.value)
    assert f"Found: {output}" in str(caught.value)


def test_npy_holds_one_output(tmp_path):
    with pytest.raises(TableError, match=r"write \.npz, \.jsonl or \.parquet"):
        write(tmp_path / "a.npy", [], {**VECTORS, **STRINGS})


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.jsonl", "a.parquet"])
@pytest.mark.parametrize("before", [0, 1])
def test_nothing_is_left_after_an_error(tmp_path, name, before):
    if name == "a.parquet":
        pytest.importorskip("pyarrow")

    def batches():
        yield from [floats(1)] * before
        assert [path.suffix for path in tmp_path.iterdir()] == [".partial"]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / name, batches())
    assert os.listdir(tmp_path) == []


def test_the_file_is_not_there_before_it_is_complete(tmp_path):
    path = tmp_path / "a.npy"
    with open_writer(str(path), "npy", VECTORS) as writer:
        writer.write(floats(1))
        assert not path.exists()
    assert path.exists()


def test_overwrites_only_where_told(tmp_path):
    path = tmp_path / "a.npy"
    path.write_text("mine")
    with pytest.raises(TableError, match="it exists"):
        write(path, [floats(1)])
    assert path.read_text() == "mine"
    write(path, [floats(1)], overwrite=True)
    assert np.load(path).shape == (1, 2)
    assert os.listdir(tmp_path) == ["a.npy"]


def test_a_file_that_came_meanwhile_is_kept(tmp_path):
    path = tmp_path / "a.npy"

    def batches():
        yield floats(1)
        path.write_text("somebody else's")

    with pytest.raises(TableError, match="it exists"):
        write(path, batches())
    assert path.read_text() == "somebody else's"
    assert os.listdir(tmp_path) == ["a.npy"]


def test_no_folder(tmp_path):
    with pytest.raises(TableError, match="No such file or directory"):
        write(tmp_path / "no" / "a.npy", [floats(1)])


def test_folder_in_place_of_the_file(tmp_path):
    with pytest.raises(TableError, match="a folder"):
        write(tmp_path, [floats(1)], overwrite=True)
