"""Engines of hub.compile: how one is chosen, refused, kept and added."""

import json
import os
import sys

import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.golden import Golden
from hub_keras_bridge.frontends.compiled import kept
from hub_keras_bridge.frontends.compiled.agreement import difference
from hub_keras_bridge.frontends.compiled.choosing import dispatch
from hub_keras_bridge.frontends.compiled.report import Report
from hub_keras_bridge.running.engines import unreported
from hub_keras_bridge.running.engines.engine import FileEngine

v1 = tf.compat.v1
X = np.ones([2, 2], np.float32)


def scaled():
    x = v1.placeholder(tf.float32, [None, 2])
    scale = v1.get_variable("scale", initializer=[[3.0, 5.0]])
    hub.add_signature(inputs=x, outputs=x * scale)


class Given(hub.Engine):
    """Runs what it is given."""

    name = "given"

    def __init__(self, run):
        self.run = run

    def prepare(self, graph, options):
        return self.run


class Filed(FileEngine):
    """Keeps a graph in a file, and counts what it does."""

    name = "filed"
    ending = ".txt"

    def __init__(self):
        self.written = self.opened = 0

    def write(self, graph, path, options):
        self.written += 1
        with open(path, "w") as file:
            file.write("x" * self.written)

    def open(self, path, options):
        self.opened += 1
        return lambda arrays: [arrays[0] * np.float32([3, 5])]


@pytest.fixture
def engines():
    """The table, which the test may change."""
    before = dict(hub.ENGINES)
    yield hub.ENGINES
    hub.ENGINES.clear()
    hub.ENGINES.update(before)


@pytest.fixture
def spec():
    return hub.create_module_spec(scaled)


class TestAuto:
    def test_takes_the_fastest_that_agrees(self, engines, spec):
        engines.clear()
        engines["right"] = Given(lambda arrays: [arrays[0] * np.float32([3, 5])])
        engines["wrong"] = Given(lambda arrays: [arrays[0] * np.float32([3, 6])])
        engines["failing"] = Given(lambda arrays: 1 / 0)
        compiled = hub.compile(spec, examples=[X, X[:1]])
        assert compiled.engines == ("right",)
        report = compiled.report()
        assert set(report.times) == {1, 2}
        assert all(set(times) == {"tensorflow", "right"} for times in report.times.values())
        assert report.excluded["wrong"].startswith("It computes other numbers: they differ by 0.2")
        assert report.excluded["failing"] == "It fails: division by zero"
        assert "right" in str(report)
        assert "wrong: not used. It computes other numbers" in str(report)

    def test_on_the_callers_examples(self, engines, spec):
        engines.clear()
        engines["right"] = Given(lambda arrays: [arrays[0] * np.float32([3, 5])])
        assert set(hub.compile(spec).report().times) == {1, 16, 64}
        assert set(hub.compile(spec, batch_sizes=[3]).report().times) == {3}
        compiled = hub.compile(spec, examples=[X, np.ones([5, 2], np.float32)])
        assert set(compiled.report().times) == {2, 5}

    def test_what_is_random_is_tensorflows(self):
        def noisy():
            x = v1.placeholder(tf.float32, [None, 2])
            hub.add_signature(inputs=x, outputs=x + tf.random.uniform([2]))

        report = hub.compile(hub.create_module_spec(noisy)).report()
        assert report.engines == ("tensorflow",)
        assert set(report.excluded) == set(hub.ENGINES)

    def test_each_size_by_the_fastest_of_its_own(self, engines):
        engines["xla"] = hub.ENGINES["xla"]
        times = {
            1: {"tensorflow": 3.0, "onnxruntime": 2.0, "xla": 1.0},
            64: {"tensorflow": 1.0, "onnxruntime": 2.0},
        }
        report = Report("m", times, {1: "xla", 64: "tensorflow"}, {}, {})
        runs = {name: lambda flat, name=name: name for name in times[1]}
        run = dispatch(runs, report, engines, [[np.zeros([1, 2])], [np.zeros([64, 2])]])
        assert run([np.zeros([1, 2])]) == "xla"
        # XLA would compile a new program.
        assert run([np.zeros([1, 3])]) == run([np.zeros([7, 2])]) == "onnxruntime"
        assert run([np.zeros([9, 2])]) == run([np.zeros([1000, 2])]) == "tensorflow"


class TestRefusals:
    def test_no_such_engine(self, spec):
        with pytest.raises(hub.EngineError, match="no such engine") as caught:
            hub.compile(spec, engine="onnx")
        assert "'auto', 'onnxruntime', 'openvino', 'tensorflow', 'xla'" in caught.value.expected

    def test_not_installed(self, spec, monkeypatch):
        openvino = type(hub.ENGINES["openvino"])
        monkeypatch.setattr(openvino, "packages", ("openvino", "of_no_such_name"))
        with pytest.raises(hub.EngineError, match="'openvino': it is not installed") as caught:
            hub.compile(spec, engine="openvino")
        assert caught.value.found == "no of_no_such_name"
        assert caught.value.advice == "python -m pip install 'hub_keras_bridge[openvino]'"
        assert "it is not" not in str(hub.compile(spec, engine="xla").report())
        assert "of_no_such_name" in hub.compile(spec).report().excluded["openvino"]

    def test_ops_that_it_lacks(self):
        def inverse():
            x = v1.placeholder(tf.float32, [None, 2, 2])
            hub.add_signature(inputs=x, outputs=tf.linalg.svd(x, compute_uv=False))

        spec = hub.create_module_spec(inverse)
        for engine in ("onnxruntime", "openvino"):
            with pytest.raises(hub.EngineError, match="cannot run a graph") as caught:
                hub.compile(spec, engine=engine)
            assert "'Svd'" in caught.value.found
            assert "engine='tensorflow'" in caught.value.advice

    def test_other_numbers(self, engines, spec):
        engines["wrong"] = Given(lambda arrays: [arrays[0] * np.float32([3, 6])])
        with pytest.raises(hub.EngineError, match="for the engine 'wrong'") as caught:
            hub.compile(spec, engine="wrong", examples=X)
        assert "they differ by 0.2 of the largest, where 0.0001 is allowed" in caught.value.found

    def test_nothing_numeric(self):
        def shout():
            x = v1.placeholder(tf.string, [None])
            hub.add_signature(inputs=x, outputs=tf.strings.upper(x))

        spec = hub.create_module_spec(shout)
        with pytest.raises(hub.EngineError, match="for the engine 'xla'") as caught:
            hub.compile(spec, engine="xla")
        assert "strings, tables or effects" in caught.value.found
        assert hub.compile(spec)(["a"]).tolist() == [b"A"]

    def test_a_call_that_an_engine_fails_in(self, engines, spec):
        def run(arrays):
            if len(arrays[0]) == 3:
                raise RuntimeError("three")
            return [arrays[0] * np.float32([3, 5])]

        engines["moody"] = Given(run)
        compiled = hub.compile(spec, engine="moody")
        with pytest.raises(hub.EngineError, match="The engine 'moody' failed") as caught:
            compiled(np.ones([3, 2], np.float32))
        assert caught.value.found == "three"

    def test_8_bits(self):
        golden = Golden("bert_tiny")
        compiled = hub.compile(golden.path, signature="tokens", engine="onnxruntime", int8=True)
        (off,) = compiled.report().differences.values()
        assert 1e-4 < off < 0.2
        off = difference([golden.outputs(0)["default"]], [compiled(golden.inputs(0))])
        assert 1e-6 < off < 0.3
        with pytest.raises(hub.EngineError, match="'xla'") as caught:
            hub.compile(golden.path, signature="tokens", engine="xla", int8=True)
        assert "8 bits" in caught.value.found


class TestKept:
    @pytest.fixture
    def filed(self, engines):
        engines.clear()
        engines["filed"] = Filed()
        return engines["filed"]

    def test_is_used_again(self, filed, spec, tmp_path):
        for count in (1, 2, 3):
            compiled = hub.compile(spec, engine="filed", keep=tmp_path)
            assert compiled(X).tolist() == [[3.0, 5.0]] * 2
            assert (filed.written, filed.opened) == (1, count)
            assert compiled.report().kept == (count > 1)

    def test_choice_and_times(self, filed, spec, tmp_path):
        first, again = (hub.compile(spec, keep=tmp_path).report() for _ in range(2))
        assert again.to_json() == first.to_json()
        assert (first.kept, again.kept, filed.written) == (False, True, 1)

    def test_not_for_other_weights(self, filed, tmp_path, spec):
        layer = hub.ModuleLayer(spec)
        hub.compile(layer, engine="filed", keep=tmp_path)
        layer.build()
        layer.weights[0].assign([[3.0, 5.0 + 1e-6]])
        hub.compile(layer, engine="filed", keep=tmp_path)
        assert filed.written == 2

    @pytest.mark.parametrize("what", ["versions", "processor", "engines", "asked", "shapes"])
    def test_not_for_others(self, what, filed, spec, tmp_path, monkeypatch):
        hub.compile(spec, engine="filed", keep=tmp_path)
        key_of = kept.key_of
        monkeypatch.setattr(kept, "key_of", lambda *given: {**key_of(*given), what: "other"})
        hub.compile(spec, engine="filed", keep=tmp_path)
        assert filed.written == 2

    @pytest.mark.parametrize("damage", ["file", "choice", "gone"])
    def test_not_when_damaged(self, damage, filed, spec, tmp_path):
        hub.compile(spec, engine="filed", keep=tmp_path)
        (folder,) = tmp_path.iterdir()
        if damage == "gone":
            os.remove(folder / "filed.txt")
        elif damage == "file":
            (folder / "filed.txt").write_text("y")
        else:
            choice = json.loads((folder / "choice.json").read_text())
            (folder / "choice.json").write_text(json.dumps(choice)[:-9])
        hub.compile(spec, engine="filed", keep=tmp_path)
        assert filed.written == 2
        assert hub.compile(spec, engine="filed", keep=tmp_path).report().kept

    def test_not_of_another_user(self, filed, spec, tmp_path, monkeypatch, caplog):
        hub.compile(spec, engine="filed", keep=tmp_path)
        monkeypatch.setattr(kept, "stranger_in", lambda path: f"user mallory, at {path}")
        hub.compile(spec, engine="filed", keep=tmp_path)
        assert filed.written == 2
        assert "user mallory" in caplog.text


class TestReports:
    """What engines' packages send over the network, if nobody tells them not to."""

    def test_onnxruntime_is_told_not_to(self, monkeypatch):
        monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
        unreported.import_onnxruntime()
        assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
        monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
        unreported.import_onnxruntime()
        assert os.environ["ORT_DISABLE_TELEMETRY"] == "0"

    def test_openvino_does_without_its_reporter(self, monkeypatch):
        found = []

        def look(name):
            with pytest.raises(ImportError):
                __import__("openvino_telemetry")
            found.append(name)

        for name in [n for n in sys.modules if n.partition(".")[0].startswith("openvino")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setattr(unreported.importlib, "import_module", look)
        unreported.import_openvino()
        assert found == ["openvino"]
        assert "openvino_telemetry" not in sys.modules


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([1.0, -4.0], [1.0, -4.4], 0.1),
        ([np.nan, 2.0], [np.nan, 2.0], 0.0),
        ([np.nan, 2.0], [1.0, 2.0], np.inf),
        ([np.inf, 2.0], [np.inf, 1.0], 0.5),
        ([0.0], [0.5], 0.5),
        ([], [], 0.0),
    ],
)
def test_differences(one, other, expected):
    found = difference([np.float32(one)], [np.float32(other)])
    assert found == pytest.approx(expected)


def test_differences_of_what_is_no_float():
    assert difference([np.array([b"a"], object)], [np.array([b"a"], object)]) == 0
    assert difference([np.array([True])], [np.array([False])]) == np.inf
    assert difference([np.int32([1])], [np.int64([1])]) == np.inf
    assert difference([np.int32([2])], [np.int32([1])]) == 0.5
