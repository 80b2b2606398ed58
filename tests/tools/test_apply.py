"""A module over a file, against what the original library computed."""

import importlib
import json
import os
import sys
import tracemalloc

import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from hub_keras_bridge.cli import main
from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.errors import InputError, SignatureError, TableError
from hub_keras_bridge.tools.apply.batch_runner import BatchRunner

v1 = tf.compat.v1


@pytest.fixture
def sentences(golden, tmp_path):
    """The golden text embedding, its recorded sentences in a file, and its outputs."""
    embed = golden("text_embed")
    path = tmp_path / "in.txt"
    path.write_text("".join(f"{line}\n" for line in embed.inputs(0)))
    return embed.path, path, embed.outputs(0)["default"]


def test_text_to_npy(sentences, tmp_path):
    module, path, expected = sentences
    for size in (1, 2, 64):
        out = tmp_path / f"out{size}.npy"
        applied = hub.apply_to_file(module, path, out, batch_size=size)
        assert (applied.rows, applied.outputs) == (len(expected), ("default",))
        np.testing.assert_allclose(np.load(out), expected, atol=1e-5)


def test_text_to_parquet(sentences, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    module, path, expected = sentences
    hub.apply_to_file(module, path, tmp_path / "out.parquet", batch_size=2)
    found = parquet.read_table(tmp_path / "out.parquet").column("default").to_pylist()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_several_inputs_and_outputs(golden, tmp_path):
    fruit = golden("multi_io")
    inputs, outputs = fruit.inputs(0), fruit.outputs(0)
    np.savez(tmp_path / "in.npz", **inputs)
    rows = [dict(zip(inputs, row, strict=True)) for row in zip(*inputs.values(), strict=True)]
    (tmp_path / "in.jsonl").write_text(
        "\n".join(json.dumps(row, default=np.ndarray.tolist) for row in rows)
    )
    titles = [f"{name}[{n}]" for name, array in inputs.items() for n in range(array.shape[1])]
    lines = [",".join(map(str, np.concatenate(list(row.values())))) for row in rows]
    (tmp_path / "in.csv").write_text("\n".join([",".join(titles), *lines]))
    for end in ("npz", "jsonl", "csv"):
        out = tmp_path / f"from_{end}.npz"
        applied = hub.apply_to_file(
            fruit.path, tmp_path / f"in.{end}", out, signature="fruit_to_pet", batch_size=2
        )
        assert applied.outputs == ("cats", "dogs")
        with np.load(out) as found:
            np.testing.assert_allclose(found["cats"], outputs["cats"], atol=1e-5)
            np.testing.assert_array_equal(found["dogs"], outputs["dogs"])
            assert found["dogs"].dtype == np.int64


def test_a_choice_of_outputs(golden, tmp_path):
    bert = golden("bert_tiny")
    np.savez(tmp_path / "in.npz", **bert.inputs(0))
    keys = ["sequence_output", "pooled_output"]
    hub.apply_to_file(
        bert.path, tmp_path / "in.npz", tmp_path / "o.npz", signature="tokens", output_key=keys
    )
    with np.load(tmp_path / "o.npz") as found:
        assert found.files == keys
        for key in keys:
            np.testing.assert_allclose(found[key], bert.outputs(0)[key], atol=1e-5)


def test_inner_tensors(golden, tmp_path):
    dense = golden("mlp_bn")
    np.save(tmp_path / "in.npy", dense.inputs(0))
    expected = dense.outputs(0)["hidden_activations"]
    hub.apply_to_file(dense.path, tmp_path / "in.npy", tmp_path / "one.npy", output_key="Relu:0")
    np.testing.assert_allclose(np.load(tmp_path / "one.npy"), expected, atol=1e-5)
    argv = ["--input", tmp_path / "in.npy", "--output", tmp_path / "two.npz"]
    keys = ["default", "layer1/BiasAdd:0"]
    flags = [flag for key in keys for flag in ("--output-key", key)]
    assert main(["apply", dense.path, *map(str, argv), *flags]) == 0
    with np.load(tmp_path / "two.npz") as found:
        assert found.files == keys
        assert found["layer1/BiasAdd:0"].shape == expected.shape


def test_variant_with_a_fixed_batch_size(golden, tmp_path):
    variants = golden("variants")
    call = next(i for i, c in enumerate(variants.oracle["apply"]) if "bs4" in c["tags"])
    inputs, outputs = variants.inputs(call), variants.outputs(call)["default"]
    np.save(tmp_path / "in.npy", np.concatenate([inputs, inputs[:3]]))
    options = {"tags": ["train", "bs4"]}
    source, target = tmp_path / "in.npy", tmp_path / "out.npy"
    assert hub.apply_to_file(variants.path, source, target, **options).rows == 7
    np.testing.assert_allclose(np.load(target)[:4], outputs, atol=1e-5)
    # The last batch is filled up; a row's output does not depend on the others here.
    np.testing.assert_allclose(np.load(target)[4:], outputs[:3], atol=1e-5)
    with pytest.raises(TableError) as caught:
        hub.apply_to_file(variants.path, source, target, batch_size=3, overwrite=True, **options)
    assert "Expected: 4" in str(caught.value)


def test_ragged_in_and_out(golden, tmp_path):
    module = golden("sparse_ragged").path
    rows = [[1, 2, 3], [], [4]]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)))
    target = tmp_path / "out.jsonl"
    hub.apply_to_file(module, tmp_path / "in.jsonl", target, signature="ragged", batch_size=2)
    found = [json.loads(line) for line in target.read_text().splitlines()]
    layer = hub.ModuleLayer(module, signature="ragged", as_dict=True)
    expected = layer(tf.ragged.constant(rows, tf.int64))
    assert [row["sums"] for row in found] == expected["sums"].numpy().tolist()
    assert [row["default"] for row in found] == expected["default"].to_list()
    with pytest.raises(TableError, match="JSON lines hold ragged outputs"):
        hub.apply_to_file(module, tmp_path / "in.jsonl", tmp_path / "o.npz", signature="ragged")


def test_sparse_in(golden, tmp_path):
    module = golden("sparse_ragged").path
    rows = np.random.default_rng(0).random((5, 9), np.float32) * (np.eye(5, 9) == 1)
    np.save(tmp_path / "in.npy", rows)
    hub.apply_to_file(module, tmp_path / "in.npy", tmp_path / "out.npy", batch_size=2)
    expected = hub.ModuleLayer(module)(tf.sparse.from_dense(rows.astype(np.float32)))
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, atol=1e-6)


def test_an_input_that_is_the_same_for_all(golden, tmp_path):
    module = golden("hyperparams")
    inputs, outputs = module.inputs(0), module.outputs(0)
    np.savez(tmp_path / "in.npz", x=inputs["x"])
    source, target = tmp_path / "in.npz", tmp_path / "out.npz"
    hub.apply_to_file(module.path, source, target, fixed={"rate": float(inputs["rate"])})
    with np.load(target) as found:
        for name, expected in outputs.items():
            np.testing.assert_allclose(found[name], expected, atol=1e-12)
            assert found[name].dtype == expected.dtype
    with pytest.raises(SignatureError) as caught:
        hub.apply_to_file(module.path, source, tmp_path / "other.npz")
    assert "an input has no dimension for them" in str(caught.value)
    assert "give 'rate' a value that is the same for all examples" in str(caught.value)


def test_a_signature_without_inputs(golden):
    with pytest.raises(SignatureError, match="no input varies"):
        BatchRunner(golden("hyperparams").path, signature="constants")


# --- what goes wrong ---


def refusal(module, source, target, error=TableError, **kwargs):
    before = sorted(os.listdir(os.path.dirname(target)))
    with pytest.raises(error) as caught:
        hub.apply_to_file(module, source, target, **kwargs)
    assert sorted(os.listdir(os.path.dirname(target))) == before
    return str(caught.value)


def test_broken_line_far_into_the_file(golden, tmp_path):
    lines = ["[0, 0, 0, 0, 0]"] * 200
    lines[150] = "[0, 0, 0, 0]"
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    message = refusal(golden("variants").path, tmp_path / "in.jsonl", tmp_path / "out.npy")
    assert "line 151." in message
    assert f"module {golden('variants').path!r}, tags {{}}, signature 'default'" in message
    assert "Expected: rows of float32 [?, 5] for input 'default'" in message
    assert "shape [1, 4]" in message


def test_examples_on_which_the_graph_fails(tmp_path, publish):
    def module_fn():
        ids = v1.placeholder(tf.int32, [None])
        hub.add_signature(inputs=ids, outputs=tf.gather(tf.constant([1.0, 2.0]), ids))

    (tmp_path / "in.jsonl").write_text("0\n1\n0\n7\n")
    message = refusal(publish(module_fn), tmp_path / "in.jsonl", tmp_path / "out.npy", batch_size=2)
    assert f"failed on examples 3 to 4 of {str(tmp_path / 'in.jsonl')!r}." in message
    assert "Found: indices[1] = 7 is not in [0, 2)" in message


@pytest.fixture
def totals(publish):
    """A module whose outputs are not all rows, and what it is fed."""

    def module_fn():
        x = v1.placeholder(tf.float32, [None, 2])
        outputs = {
            "default": x,
            "total": tf.reduce_sum(x, 0),
            "mean": tf.reduce_mean(x),
            "distinct": tf.unique(tf.reshape(x, [-1]))[0],
            "sparse": tf.sparse.from_dense(x),
        }
        hub.add_signature(inputs=x, outputs=outputs)

    return publish(module_fn)


@pytest.mark.parametrize(
    ("end", "key", "found"),
    [
        # Two rows for two examples, but by chance.
        ("npy", "total", "float32 [2]"),
        ("npz", ["default", "mean"], "float32 []"),
        ("jsonl", "sparse", "sparse float32 [?, 2]"),
    ],
)
def test_output_that_is_not_in_rows(tmp_path, totals, end, key, found):
    np.save(tmp_path / "in.npy", np.ones((2, 2)))
    message = refusal(
        totals, tmp_path / "in.npy", tmp_path / f"out.{end}", SignatureError, output_key=key
    )
    name = key if isinstance(key, str) else key[-1]
    assert f"Output {name!r} of a TF1 Hub module has no row per example." in message
    assert f"Found: {found}" in message


def test_output_that_turns_out_not_to_be_in_rows(tmp_path, totals):
    np.save(tmp_path / "in.npy", np.ones((5, 2)))
    message = refusal(totals, tmp_path / "in.npy", tmp_path / "out.npy", output_key="distinct")
    assert "Output 'distinct' of a TF1 Hub module has no row per example." in message
    assert "Expected: 5 rows for 5 examples" in message
    assert "Found: shape [1]" in message
    hub.apply_to_file(totals, tmp_path / "in.npy", tmp_path / "out.npy")
    assert np.load(tmp_path / "out.npy").shape == (5, 2)


def test_names_that_are_not_there(golden, tmp_path):
    np.save(tmp_path / "in.npy", np.ones((5, 51)))
    asked = golden("mlp_bn").path, tmp_path / "in.npy", tmp_path / "out.npz", SignatureError
    assert "'default', 'double'" in refusal(*asked, signature="triple")
    assert "'default', 'hidden_activations'" in refusal(*asked, output_key="y")
    assert "no output 'y'" in refusal(*asked, output_key=["default", "y"])
    assert "no input 'rate'" in refusal(*asked, fixed={"rate": 1})


def test_fixed_value_that_does_not_fit(golden, tmp_path):
    np.savez(tmp_path / "in.npz", x=np.ones((2, 3)))
    module = golden("hyperparams").path
    asked = module, tmp_path / "in.npz", tmp_path / "out.npz", InputError
    assert "Cannot feed input 'rate'" in refusal(*asked, fixed={"rate": "fast"})


def test_empty_file(golden, tmp_path):
    (tmp_path / "in.txt").touch()
    assert "it is empty" in refusal(
        golden("text_embed").path, tmp_path / "in.txt", tmp_path / "out.npy"
    )


def test_a_file_that_is_there_is_told_of_before_the_module_is_loaded(tmp_path):
    (tmp_path / "in.txt").touch()
    (tmp_path / "out.npy").touch()
    assert "it exists" in refusal("/no/module", tmp_path / "in.txt", tmp_path / "out.npy")


def test_tf2_saved_model(tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path / "m"))
    (tmp_path / "in.txt").write_text("a\n")
    with pytest.raises(hub.FormatError, match="a TF2 SavedModel"):
        hub.apply_to_file(tmp_path / "m", tmp_path / "in.txt", tmp_path / "out.npy")


def test_safe_mode(tmp_path, publish):
    def module_fn():
        x = v1.placeholder(tf.string, [None])
        hub.add_signature(inputs=x, outputs=tf.map_fn(tf.io.read_file, x))

    (tmp_path / "secret").write_text("told")
    (tmp_path / "in.txt").write_text(f"{tmp_path / 'secret'}\n")
    spec = hub.create_module_spec(module_fn)
    asked = spec, tmp_path / "in.txt", tmp_path / "out.jsonl"
    assert "ReadFile" in refusal(*asked, error=hub.UnsafeModuleError)
    hub.apply_to_file(*asked, safe_mode=False)
    assert json.loads((tmp_path / "out.jsonl").read_text()) == {"default": "told"}


# --- how it runs ---


def test_one_graph_for_batches_of_all_sizes(sentences, monkeypatch):
    runner = BatchRunner(sentences[0])
    runner.run_examples(["the cat"])

    def traces(*_):
        raise AssertionError("another graph")

    monkeypatch.setattr(private_tf, "wrap_function", traces)
    for count in (3, 2, 5):
        assert len(runner.run_examples(["the cat"] * count)) == count


def test_memory_does_not_grow_with_the_file(sentences, tmp_path):
    """Python's and NumPy's memory at its highest, for five times the lines."""
    module, path, _ = sentences
    lines = path.read_text()
    hub.apply_to_file(module, path, tmp_path / "first.npz")
    peaks = []
    for times in (600, 3000):
        path.write_text(lines * times)
        tracemalloc.start()
        hub.apply_to_file(module, path, tmp_path / f"{times}.npz", batch_size=16)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    small, large = (os.path.getsize(tmp_path / f"{times}.npz") for times in (600, 3000))
    assert peaks[1] - peaks[0] < (large - small) / 4


def test_examples_one_by_one(golden):
    fruit = golden("multi_io")
    inputs, outputs = fruit.inputs(0), fruit.outputs(0)
    rows = [dict(zip(inputs, row, strict=True)) for row in zip(*inputs.values(), strict=True)]
    runner = BatchRunner(fruit.path, signature="fruit_to_pet")
    for found, cats, dogs in zip(runner.run_examples(rows), *outputs.values(), strict=True):
        np.testing.assert_allclose(found["cats"], cats, atol=1e-5)
        assert found["dogs"] == dogs
    one = BatchRunner(fruit.path, signature="fruit_to_pet", output_key="cats")
    np.testing.assert_allclose(one.run_examples(rows)[0], outputs["cats"][0], atol=1e-5)
    assert one.run_examples([]) == []
    with pytest.raises(InputError, match="the keys 'apples'"):
        one.run_examples([{"apples": rows[0]["apples"]}])
    with pytest.raises(InputError, match=r"of uneven rows|shape"):
        one.run_examples([rows[0], {**rows[0], "apples": np.ones(3, np.float32)}])


def test_examples_in_batches_of_a_fixed_size(golden):
    variants = golden("variants")
    runner = BatchRunner(variants.path, tags={"train", "bs4"}, output_key="default")
    assert runner.fixed_size == 4
    free = BatchRunner(variants.path, tags={"train"}, output_key="default")
    examples = list(np.random.default_rng(0).random((6, 5), np.float32))
    np.testing.assert_allclose(
        runner.run_examples(examples), free.run_examples(examples), atol=1e-6
    )


def test_beam_names_its_extra_where_it_is_absent(monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam.ml.inference.base", None)
    monkeypatch.delitem(sys.modules, "hub_keras_bridge.beam", raising=False)
    with pytest.raises(ImportError, match=r"pip install 'hub_keras_bridge\[beam\]'"):
        importlib.import_module("hub_keras_bridge.beam")
