"""Files for inference engines: the original's numbers in the engine itself, or no file."""

import os

import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.comparing import assert_same
from helpers.golden import Golden
from helpers.places import DM21, DM21_ORACLE, needs_dm21
from hub_keras_bridge.tools.convert.convert import to_onnx, to_openvino

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("tf2onnx")
openvino = pytest.importorskip("openvino")

v1 = tf.compat.v1


def run_onnx(path, inputs):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def run_openvino(path, inputs):
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    model = openvino.Core().compile_model(str(path), "CPU", settings)
    found = model(inputs)
    return {name: found[name] for port in model.outputs for name in port.get_names()}


ENGINES = {"onnx": (to_onnx, ".onnx", run_onnx), "openvino": (to_openvino, ".xml", run_openvino)}


@pytest.fixture(params=ENGINES)
def engine(request):
    return ENGINES[request.param]


def refused(error, convert, *args, **kwargs):
    with pytest.raises(error) as caught:
        convert(*args, **kwargs)
    return str(caught.value)


def two_outputs():
    def module_fn():
        x = v1.placeholder(tf.float32, [None, None])
        y = v1.placeholder(tf.float32, [None, None])
        scale = v1.get_variable("scale", initializer=2.0)
        unread = v1.placeholder(tf.float32, [None])
        with tf.control_dependencies([v1.assert_greater(tf.reduce_sum(x), -1e9)]):
            both = scale * x - y
        # Read in another order than named, one tensor twice, an input as it came in.
        inputs = {"b": x, "a": y, "unread": unread}
        hub.add_signature(inputs=inputs, outputs={"twice": both, "once": both, "a": y})

    return hub.create_module_spec(module_fn)


class TestNumbers:
    @pytest.mark.parametrize(
        ("kind", "name", "call"),
        [
            *(("onnx", *each) for each in [("bert_tiny", 0), ("convnet", 2), ("hyperparams", 0)]),
            *(("onnx", *each) for each in [("functions", 0), ("ref_vars", 0), ("variants", 2)]),
            *(("openvino", *each) for each in [("bert_tiny", 0), ("convnet", 1), ("rnn", 1)]),
            *((kind, "multi_io", 0) for kind in ENGINES),
        ],
    )
    def test_those_of_the_original(self, kind, name, call, tmp_path):
        convert, ending, run = ENGINES[kind]
        golden, path = Golden(name), tmp_path / f"m{ending}"
        chosen = {key: golden.oracle["apply"][call][key] for key in ("tags", "signature")}
        infos = hub.load_module_spec(golden.path).get_input_info_dict(**chosen)
        given = golden.inputs(call)
        given = given if isinstance(given, dict) else dict.fromkeys(infos, given)
        inputs = {key: np.asarray(tf.constant(given[key], infos[key].dtype)) for key in infos}
        made = convert(golden.path, path, **chosen)
        assert made.inputs.keys() == inputs.keys()
        assert made.difference < 1e-5
        for key, info in infos.items():
            assert made.inputs[key].shape.as_list() == info.get_shape().as_list()
        found = run(path, inputs)
        assert found.keys() == made.outputs.keys()
        for key, value in golden.outputs(call).items():
            assert_same(found[f"{key}_" if key in inputs else key], value)

    @needs_dm21
    def test_of_a_real_module(self, tmp_path):
        made = to_onnx(DM21, tmp_path / "m.onnx")
        assert {"tensor_dict$grid_coords", "tensor_dict$grid_weights"} == set(made.unread)
        with np.load(DM21_ORACLE) as oracle:
            arrays = {tuple(key.split("|")[2:]): value for key, value in oracle.items()}
        inputs = {key: arrays["in", key] for key in made.inputs}
        for key, value in run_onnx(tmp_path / "m.onnx", inputs).items():
            assert_same(value, arrays["out", key.removesuffix("_")])

    def test_names_and_sizes(self, engine, tmp_path):
        convert, ending, run = engine
        made = convert(two_outputs(), tmp_path / f"m{ending}")
        assert set(made.inputs) == {"a", "b"}
        assert made.unread == ("unread",)
        assert set(made.outputs) == {"twice", "once", "a_"}
        assert made.outputs["once"].shape.as_list() == [None, None]
        for shape in (1, 2), (5, 3):
            b, a = np.ones(shape, np.float32), np.full(shape, 5, np.float32)
            found = run(tmp_path / f"m{ending}", {"a": a, "b": b})
            assert_same(found["twice"], 2 * b - a)
            assert_same(found["once"], 2 * b - a)
            assert_same(found["a_"], a)

    def test_of_a_layer_that_was_trained(self, tmp_path):
        spec = hub.create_module_spec(two_signatures)
        layer = hub.ModuleLayer(spec, signature="twice", output_key="y", trainable=True)
        layer.variable_map["scale"].assign([7.0, 8.0])
        to_onnx(layer, tmp_path / "m.onnx")
        ones = np.ones([1, 2], np.float32)
        assert run_onnx(tmp_path / "m.onnx", {"x": ones})["y"].tolist() == [[14.0, 16.0]]
        layer.variable_map["scale"].assign([0.0, 0.0])  # The file is a snapshot.
        assert run_onnx(tmp_path / "m.onnx", {"x": ones})["y"].tolist() == [[14.0, 16.0]]
        layer.variable_map["scale"].assign([3.0, 4.0])
        to_onnx(layer, tmp_path / "inner.onnx", output_key="mul:0")
        found = run_onnx(tmp_path / "inner.onnx", {"x": ones})
        assert {name: value.tolist() for name, value in found.items()} == {"mul:0": [[3.0, 4.0]]}
        to_onnx(layer, tmp_path / "once.onnx", signature="once")
        assert run_onnx(tmp_path / "once.onnx", {"x": ones})["y"].tolist() == [[3.0, 4.0]]

    def test_of_a_saved_model(self, engine, tmp_path):
        convert, ending, run = engine
        module = tf.Module()
        module.scale = tf.Variable([2.0, 3.0])
        spec = tf.TensorSpec([None, 2], tf.float32, name="x")
        module.serve = tf.function(
            lambda x: {"y": x * module.scale, "z": x + module.scale}, input_signature=[spec]
        )
        tf.saved_model.save(module, str(tmp_path / "saved"), {"serving_default": module.serve})
        chosen = {"signature": "serving_default", "output_key": "z"}
        made = convert(tmp_path / "saved", tmp_path / f"m{ending}", **chosen)
        assert list(made.outputs) == ["z"]
        ones = np.ones([3, 2], np.float32)
        assert_same(run(tmp_path / f"m{ending}", {"x": ones})["z"], ones + np.float32([2, 3]))

    def test_int8_tells_what_it_changes(self, tmp_path):
        golden = Golden("mlp_bn")
        signature = golden.oracle["apply"][2]["signature"]
        made = to_onnx(golden.path, tmp_path / "m.onnx", signature=signature, int8=True)
        found = run_onnx(tmp_path / "m.onnx", {"x": np.float32(golden.inputs(2)["x"])})["y"]
        exact = golden.outputs(2)["y"]
        off = np.abs(found - exact).max() / np.abs(exact).max()
        assert 1e-4 < made.difference < 0.3
        assert 1e-4 < off < 0.3


def two_signatures():
    x = v1.placeholder(tf.float32, [None, 2])
    scaled = x * v1.get_variable("scale", initializer=[1.0, 1.0])
    hub.add_signature("once", inputs={"x": x}, outputs={"y": scaled})
    hub.add_signature("twice", inputs={"x": x}, outputs={"default": 2 * scaled, "y": 2 * scaled})


class TestRefusals:
    def test_text(self, engine, tmp_path):
        convert, ending, _ = engine
        message = refused(
            hub.ConversionError, convert, Golden("text_embed").path, tmp_path / f"m{ending}"
        )
        assert "it is not made of numbers alone" in message
        assert "Found: input 'default' (string [?]), ops 'LookupTableFindV2', " in message
        assert "What to do: use hub.compile(...), which leaves these to TensorFlow" in message
        assert os.listdir(tmp_path) == []

    def test_names_the_outputs_that_can_be(self, tmp_path):
        def labels():
            x = v1.placeholder(tf.float32, [None])
            words = tf.strings.as_string(x)
            hub.add_signature(inputs={"x": x}, outputs={"label": words, "score": x * 2})

        spec, path = hub.create_module_spec(labels), tmp_path / "m.onnx"
        message = refused(hub.ConversionError, to_onnx, spec, path)
        assert "Found: output 'label' (string [?]), ops 'AsString'" in message
        assert "choose of the outputs 'score' with output_key=..." in message
        assert list(to_onnx(spec, path, output_key="score").outputs) == ["score"]

    def test_sparse_and_ragged(self, tmp_path):
        path = Golden("sparse_ragged").path
        message = refused(hub.ConversionError, to_onnx, path, tmp_path / "m.onnx")
        assert "Found: input 'default' (sparse float32 [?, 9])" in message

    def test_ops_that_the_engine_lacks(self, tmp_path):
        def fft():
            x = v1.placeholder(tf.float32, [None, 4])
            hub.add_signature(inputs={"x": x}, outputs={"y": tf.math.bessel_i0e(x)})

        message = refused(
            hub.ConversionError, to_onnx, hub.create_module_spec(fft), tmp_path / "m.onnx"
        )
        assert "Cannot convert a TF1 Hub module to an ONNX file." in message
        assert "Found: 'BesselI0e'" in message
        assert os.listdir(tmp_path) == []

    def test_other_numbers(self, tmp_path):
        """OpenVINO computes float64 in float32; ONNX Runtime's loop makes a shorter list."""
        given = Golden("hyperparams").path, tmp_path / "m.xml"
        message = refused(hub.ConversionError, to_openvino, *given)
        assert "what it became is not the same" in message
        assert "of the largest, where 1e-10 is allowed" in message
        given = Golden("rnn").path, tmp_path / "m.onnx"
        assert "It computes other shapes" in refused(hub.ConversionError, to_onnx, *given)
        assert os.listdir(tmp_path) == []

    def test_examples_decide(self, tmp_path):
        golden = Golden("rnn")
        longest = {"x": np.ones([2, 5, 8], np.float32), "n": np.int32([5, 5])}
        made = to_onnx(golden.path, tmp_path / "m.onnx", examples=[longest])
        assert made.difference < 1e-5
        message = refused(
            hub.InputError, to_onnx, golden.path, tmp_path / "other.onnx", examples=[{"x": 1}]
        )
        assert "Unexpected input names" in message

    def test_inputs_that_cannot_be_made_up(self, tmp_path):
        def only_seven():
            x = v1.placeholder(tf.float32, [None, None])
            hub.add_signature(inputs={"x": x}, outputs={"y": tf.matmul(x, tf.ones([7, 2]))})

        spec = hub.create_module_spec(only_seven)
        message = refused(hub.InputError, to_onnx, spec, tmp_path / "m.onnx")
        assert "pass examples=[...]" in message
        to_onnx(spec, tmp_path / "m.onnx", examples=np.ones([2, 7], np.float32))

    def test_nothing_that_an_input_decides(self, tmp_path):
        spec = hub.create_module_spec(lambda: hub.add_signature(outputs=tf.constant([1.0])))
        message = refused(hub.ConversionError, to_onnx, spec, tmp_path / "m.onnx")
        assert "no output depends on an input" in message

    def test_missing_package(self, monkeypatch, tmp_path, scale_spec):
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        message = refused(hub.ConversionError, to_onnx, scale_spec, tmp_path / "m.onnx")
        assert "Expected: the packages onnx, onnxruntime, tf2onnx" in message
        assert "python -m pip install 'hub_keras_bridge[onnx]'" in message

    def test_in_a_tf1_graph(self, scale_spec, tmp_path):
        with tf.Graph().as_default(), pytest.raises(hub.GraphModeError, match="outside the graph"):
            to_onnx(scale_spec, tmp_path / "m.onnx")


class TestTwoFiles:
    def test_neither_is_overwritten(self, scale_spec, tmp_path):
        (tmp_path / "m.bin").write_text("mine")
        message = refused(hub.ExportError, to_openvino, scale_spec, tmp_path / "m.xml")
        assert f"at {tmp_path / 'm.bin'}" in message
        assert os.listdir(tmp_path) == ["m.bin"]
        assert (tmp_path / "m.bin").read_text() == "mine"

    def test_both_or_neither(self, scale_spec, tmp_path, monkeypatch):
        """The second cannot be put in place, when the first is there."""
        for name in "link", "rename":
            monkeypatch.setattr(os, name, refusing(tmp_path / "m.xml", getattr(os, name)))
        message = refused(hub.ExportError, to_openvino, scale_spec, tmp_path / "m.xml")
        assert "Cannot write what a TF1 Hub module was converted to." in message
        assert os.listdir(tmp_path) == []


def refusing(place, moved):
    def move(source, target):
        if os.fspath(target) == str(place):
            assert (place.parent / "m.bin").exists()
            raise PermissionError("no more names")
        moved(source, target)

    return move


def test_compiled_layer_keeps_its_signature():
    """What is not said is the layer's."""
    layer = hub.ModuleLayer(hub.create_module_spec(two_signatures), signature="twice")
    compiled = hub.compile(layer, engine="tensorflow", as_dict=True)
    assert compiled({"x": np.ones([1, 2])})["y"].tolist() == [[2.0, 2.0]]
