"""A module over a file by inference engines, against what the original library computed."""

import json
import os
import threading

import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from benchmarks.resident import resident
from hub_keras_bridge.cli import main
from hub_keras_bridge.errors import EngineError, TableError
from hub_keras_bridge.tools.apply import batch_runner
from hub_keras_bridge.tools.apply.batch_runner import BatchRunner

v1 = tf.compat.v1


needs_onnx = pytest.mark.skipif(bool(hub.ENGINES["onnxruntime"].missing), reason="not installed")


@pytest.mark.parametrize("engine", ["xla", pytest.param("onnxruntime", marks=needs_onnx)])
def test_numbers(golden, tmp_path, engine):
    module = golden("mlp_bn")
    np.save(tmp_path / "in.npy", module.inputs(0))
    applied = hub.apply_to_file(
        module.path, tmp_path / "in.npy", tmp_path / "o.npz", batch_size=2, engine=engine
    )
    assert (applied.rows, applied.engines) == (len(module.inputs(0)), (engine,))
    with np.load(tmp_path / "o.npz") as found:
        assert found.files == list(module.outputs(0))
        for name, expected in module.outputs(0).items():
            np.testing.assert_allclose(found[name], expected, atol=1e-5)


@needs_onnx
def test_text_of_which_an_engine_gets_the_numbers(golden, tmp_path):
    embed = golden("text_embed")
    (tmp_path / "in.txt").write_text("".join(f"{line}\n" for line in embed.inputs(0)))
    out = tmp_path / "out.npy"
    hub.apply_to_file(embed.path, tmp_path / "in.txt", out, batch_size=2, engine="onnxruntime")
    np.testing.assert_allclose(np.load(out), embed.outputs(0)["default"], atol=1e-5)


@needs_onnx
def test_an_input_that_is_the_same_for_all(golden, tmp_path):
    module = golden("hyperparams")
    inputs = module.inputs(0)
    np.savez(tmp_path / "in.npz", x=inputs["x"])
    fixed = {"rate": float(inputs["rate"])}
    source, target = tmp_path / "in.npz", tmp_path / "out.npz"
    hub.apply_to_file(module.path, source, target, fixed=fixed, batch_size=2, engine="onnxruntime")
    with np.load(target) as found:
        for name, expected in module.outputs(0).items():
            np.testing.assert_allclose(found[name], expected, atol=1e-12)
            assert found[name].dtype == expected.dtype


@needs_onnx
def test_ragged_in_and_out(golden, tmp_path):
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, [[1, 2, 3], [], [4]])))
    asked = golden("sparse_ragged").path, tmp_path / "in.jsonl"
    for engine in ("tensorflow", "onnxruntime"):
        target = tmp_path / f"{engine}.jsonl"
        hub.apply_to_file(*asked, target, signature="ragged", batch_size=2, engine=engine)
    assert target.read_text() == (tmp_path / "tensorflow.jsonl").read_text()


def test_sparse_in_and_no_other_engine_installed(golden, tmp_path, monkeypatch):
    monkeypatch.setattr("hub_keras_bridge.frontends.compiled.compile.ENGINES", {})
    rows = np.random.default_rng(0).random((5, 9), np.float32) * (np.eye(5, 9) == 1)
    np.save(tmp_path / "in.npy", rows)
    asked = golden("sparse_ragged").path, tmp_path / "in.npy", tmp_path / "out.npy"
    assert hub.apply_to_file(*asked, batch_size=2, engine="auto").engines == ("tensorflow",)
    expected = hub.ModuleLayer(asked[0])(tf.sparse.from_dense(rows.astype(np.float32)))
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, atol=1e-6)


@needs_onnx
def test_a_fixed_batch_size(golden):
    variants = golden("variants")
    call = next(i for i, c in enumerate(variants.oracle["apply"]) if "bs4" in c["tags"])
    inputs, outputs = variants.inputs(call), variants.outputs(call)["default"]
    runner = BatchRunner(
        variants.path, tags=["train", "bs4"], output_key="default", engine="onnxruntime"
    )
    found = runner.run_examples([*inputs, *inputs[:3]])
    np.testing.assert_allclose(found, np.concatenate([outputs, outputs[:3]]), atol=1e-5)


@needs_onnx
def test_what_is_kept_is_not_made_again(golden, tmp_path, monkeypatch, capsys):
    module = golden("mlp_bn")
    np.save(tmp_path / "in.npy", module.inputs(0))

    def run(name):
        argv = ["--input", str(tmp_path / "in.npy"), "--output", str(tmp_path / name)]
        kept = ["--engine", "onnxruntime", "--keep", str(tmp_path / "kept")]
        assert main(["apply", module.path, *argv, *kept]) == 0
        told = capsys.readouterr().out
        assert told == f"{tmp_path / name}: 8 rows of default, by onnxruntime\n"
        return np.load(tmp_path / name)

    first = run("first.npy")

    def converts(*_):
        raise AssertionError("converted again")

    monkeypatch.setattr(type(hub.ENGINES["onnxruntime"]), "write", converts)
    np.testing.assert_array_equal(run("second.npy"), first)


# --- examples of any number, as Beam has them ---


def test_engines_are_tried_at_sizes_that_may_come(golden, monkeypatch):
    tried = []

    def compile(*args, examples, **kwargs):
        tried.append([len(batch["default"]) for batch in examples])
        return hub.compile(*args, examples=examples, **{**kwargs, "engine": "tensorflow"})

    monkeypatch.setattr(batch_runner, "compile", compile)
    module = golden("mlp_bn")
    runner = BatchRunner(module.path, output_key="default", engine="auto")
    assert runner.run_examples([]) == []
    assert (tried, runner.engines) == ([], ())
    for count in (2, 5):
        found = runner.run_examples(list(module.inputs(0))[:count])
        np.testing.assert_allclose(found, module.outputs(0)["default"][:count], atol=1e-5)
    assert tried == [[1, 16, 64]]


@needs_onnx
def test_threads_share_what_one_of_them_made(golden, monkeypatch):
    engine, made = type(hub.ENGINES["onnxruntime"]), []
    opened = engine.open

    def counted(*args):
        made.append(args)
        return opened(*args)

    monkeypatch.setattr(engine, "open", counted)
    module = golden("mlp_bn")
    runner = BatchRunner(module.path, output_key="default", engine="onnxruntime")
    found = []
    run = lambda: found.append(runner.run_examples(list(module.inputs(0))))  # noqa: E731
    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    for each in found:
        np.testing.assert_allclose(each, module.outputs(0)["default"], atol=1e-5)


@needs_onnx
def test_memory_stays_flat(golden):
    """That of the whole process, for batches of changing sizes."""
    runner = BatchRunner(golden("mlp_bn").path, engine="onnxruntime")
    rows = np.repeat(golden("mlp_bn").inputs(0), 100, axis=0)

    def run(times):
        for number in range(times):
            count = len(rows) - number % 7
            runner.run({"default": tf.constant(rows[:count])}, count, "some")
        return resident()

    before = run(200)
    # A batch alone has a tenth of this.
    assert run(1000) - before < 10 * rows.nbytes


# --- what goes wrong ---


def refusal(module, source, target, error=TableError, **kwargs):
    before, threads = sorted(os.listdir(os.path.dirname(target))), threading.active_count()
    with pytest.raises(error) as caught:
        hub.apply_to_file(module, source, target, **kwargs)
    assert sorted(os.listdir(os.path.dirname(target))) == before
    assert threading.active_count() == threads
    return str(caught.value)


@pytest.fixture
def lookups(tmp_path, publish):
    """A module that fails on numbers from 2 on, and a file in which the last one is."""

    def module_fn():
        ids = v1.placeholder(tf.int32, [None])
        hub.add_signature(inputs=ids, outputs=tf.gather(tf.constant([1.0, 2.0]), ids))

    (tmp_path / "in.jsonl").write_text("0\n1\n0\n7\n")
    return publish(module_fn), tmp_path / "in.jsonl", tmp_path / "out.npy"


@needs_onnx
def test_examples_on_which_an_engine_fails(lookups):
    message = refusal(*lookups, batch_size=2, engine="onnxruntime")
    assert f"failed on examples 3 to 4 of {str(lookups[1])!r}." in message
    assert "out of data bounds" in message
    assert "with batches of 1 the message names the one" in message


@needs_onnx
def test_examples_on_which_engines_are_tried_and_fail(lookups):
    message = refusal(*lookups, engine="onnxruntime")
    assert "failed on examples 1 to 4 of" in message
    assert "Found: indices[3] = 7 is not in [0, 2)" in message


def test_rows_that_cannot_be_written(tmp_path, publish):
    def module_fn():
        x = v1.placeholder(tf.float32, [None, None])
        hub.add_signature(inputs=x, outputs=2 * x)

    lines = ["[1, 2]"] * 50 + ["[1, 2, 3]"] + ["[1, 2]"] * 50
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    asked = publish(module_fn), tmp_path / "in.jsonl", tmp_path / "out.npy"
    message = refusal(*asked, batch_size=1)
    assert "Cannot write output 'default': its rows have different shapes." in message
    assert "Found: shape [3]" in message


class Absent(hub.Engine):
    name = "absent"
    packages = ("no_such_package",)
    extra = "absent"

    def prepare(self, graph, options):
        raise AssertionError("prepared")


def test_engines_that_are_not_there(lookups, monkeypatch):
    monkeypatch.setitem(hub.ENGINES, "absent", Absent())
    message = refusal(*lookups, EngineError, engine="absent")
    assert "for the engine 'absent': it is not installed." in message
    assert "python -m pip install 'hub_keras_bridge[absent]'" in message
    message = refusal(*lookups, EngineError, engine="cuda")
    assert "no such engine" in message
    assert "choose one of these, or add an Engine of your own" in message


class Refusing(hub.Engine):
    name = "refusing"

    def prepare(self, graph, options):
        raise EngineError("It cannot.", found="ops that it lacks")


def test_an_engine_that_cannot_run_the_graph(lookups, monkeypatch):
    monkeypatch.setitem(hub.ENGINES, "refusing", Refusing())
    assert "ops that it lacks" in refusal(*lookups, EngineError, batch_size=2, engine="refusing")
