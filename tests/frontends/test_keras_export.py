"""Keras models with modules in them, as other programs run them: the numbers stay.

SavedModels run in a process without this package, after the module's folder is
gone, in TensorFlow 2 and as TensorFlow Serving's loader does it.
"""

import os
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.comparing import assert_same
from helpers.documents import code_blocks
from helpers.golden import Golden
from hub_keras_bridge.tools.convert.tflite import select_ops

v1 = tf.compat.v1


def keras_inputs(golden, call):
    """Symbols for the inputs of a recorded call, by name."""
    entry = golden.oracle["apply"][call]
    spec = hub.load_module_spec(golden.path)
    infos = spec.get_input_info_dict(entry["signature"], entry["tags"])
    return {
        name: keras.Input(batch_shape=tuple(info.get_shape()), name=name, dtype=info.dtype.name)
        for name, info in infos.items()
    }


def bare(by_name):
    return by_name if len(by_name) > 1 else next(iter(by_name.values()))


def functional(golden, call, path, **options):
    """A model of one layer with the inputs and outputs of a recorded call."""
    entry = golden.oracle["apply"][call]
    symbols = bare(keras_inputs(golden, call))
    layer = hub.ModuleLayer(
        path, signature=entry["signature"], tags=entry["tags"], as_dict=True, **options
    )
    return keras.Model(symbols, layer(symbols))


def recorded(golden, call):
    """Inputs by the names of the model's inputs, in its dtypes."""
    symbols, values = keras_inputs(golden, call), golden.inputs(call)
    by_name = values if isinstance(values, dict) else dict.fromkeys(symbols, values)
    return {
        name: np.asarray(tf.constant(value, symbols[name].dtype)) for name, value in by_name.items()
    }


def text(path):
    golden = Golden("text_embed")
    return functional(golden, 0, path), recorded(golden, 0), golden.outputs(0)


def convnet(path):
    golden = Golden("convnet")
    return functional(golden, 1, path), recorded(golden, 1), golden.outputs(1)


def sequential(path):
    golden = Golden("mlp_bn")
    model = keras.Sequential([keras.Input((51,), name="x"), hub.ModuleLayer(path, trainable=True)])
    return model, {"x": recorded(golden, 0)["default"]}, {"output_0": golden.outputs(0)["default"]}


def v1_loop(path):
    golden = Golden("rnn")
    return functional(golden, 0, path), recorded(golden, 0), golden.outputs(0)


def dict_inputs(path):
    golden = Golden("bert_tiny")
    return functional(golden, 0, path), recorded(golden, 0), golden.outputs(0)


def two_layers_of_one_module(path):
    """Two tables of one vocabulary; the weights of the second layer are doubled."""
    golden = Golden("text_embed")
    words = keras.Input((), dtype="string", name="words")
    once, twice = hub.ModuleLayer(path), hub.ModuleLayer(path)
    model = keras.Model(words, {"once": once(words), "twice": twice(words)})
    for weight in twice.weights:
        weight.assign(2 * weight.value)
    expected = golden.outputs(0)["default"]
    return (
        model,
        {"words": recorded(golden, 0)["default"]},
        {"once": expected, "twice": 2 * expected},
    )


MODELS = {
    "text_embed": [text, two_layers_of_one_module],
    "convnet": [convnet],
    "mlp_bn": [sequential],
    "rnn": [v1_loop],
    "bert_tiny": [dict_inputs],
}
WRITERS = {
    "export": lambda model, path: model.export(path, verbose=False),
    "save": tf.saved_model.save,
}
CASES = [
    (build.__name__, writer) for builds in MODELS.values() for build in builds for writer in WRITERS
]

READER = """
import sys, pathlib
import numpy as np, tensorflow as tf
v1 = tf.compat.v1

def named(inputs, names):
    # In one of its two ways to save, Keras calls them inputs, inputs_1 and so on.
    values = [inputs[name] for name in sorted(inputs)]
    return inputs if set(inputs) == set(names) else dict(zip(sorted(names), values))

def in_tensorflow_2(path, inputs):
    loaded = tf.saved_model.load(path)  # its tables go when it goes
    run = loaded.signatures["serving_default"]
    inputs = named(inputs, run.structured_input_signature[1])
    found = run(**{name: tf.constant(value) for name, value in inputs.items()})
    return {name: value.numpy() for name, value in found.items()}

def in_a_session(load):
    def run(path, inputs):
        with tf.Graph().as_default(), v1.Session() as session:
            signature = load(session, path).signature_def["serving_default"]
            outputs = {name: info.name for name, info in signature.outputs.items()}
            given = named(inputs, signature.inputs)
            feeds = {signature.inputs[name].name: value for name, value in given.items()}
            return session.run(outputs, feeds)
    return run

READERS = {
    "tensorflow_2": in_tensorflow_2,
    "session": in_a_session(lambda s, path: v1.saved_model.load(s, ["serve"], path)),
    "loader": in_a_session(lambda s, path: v1.saved_model.loader.load(s, {"serve"}, path)),
}
for folder in map(pathlib.Path, sys.argv[1:]):
    with np.load(folder / "inputs.npz") as arrays:
        inputs = {n: a.tolist() if a.dtype.kind == "S" else a for n, a in arrays.items()}
    for name, read in READERS.items():
        found = read(str(folder / "saved"), inputs)
        arrays = {n: a.astype(bytes) if a.dtype == object else a for n, a in found.items()}
        np.savez(folder / f"{name}.npz", **arrays)
assert "hub_keras_bridge" not in sys.modules
"""


def read_in_another_process(*folders):
    """Runs the SavedModels in these folders on the inputs beside them."""
    done = subprocess.run(
        [sys.executable, "-c", READER, *map(str, folders)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]


def save_inputs(folder, inputs):
    arrays = {
        name: value.astype(bytes) if value.dtype == object else value
        for name, value in inputs.items()
    }
    np.savez(folder / "inputs.npz", **arrays)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """What other programs compute with all models, and what is right."""
    root, expected = tmp_path_factory.mktemp("served"), {}
    for name, builds in MODELS.items():
        shutil.copytree(Golden(name).path, root / "module")
        for build in builds:
            model, inputs, expected[build.__name__] = build(root / "module")
            for writer, write in WRITERS.items():
                folder = root / f"{build.__name__}_{writer}"
                folder.mkdir()
                save_inputs(folder, inputs)
                write(model, str(folder / "here"))
                shutil.move(folder / "here", folder / "saved")
        shutil.rmtree(root / "module")
    read_in_another_process(*(root / f"{build}_{writer}" for build, writer in CASES))
    return root, expected


@pytest.mark.slow
class TestServing:
    @pytest.mark.parametrize("reader", ["tensorflow_2", "session", "loader"])
    @pytest.mark.parametrize(("build", "writer"), CASES)
    def test_numbers_of_the_original_library(self, served, build, writer, reader):
        root, expected = served
        with np.load(root / f"{build}_{writer}" / f"{reader}.npz") as found:
            assert set(found) == set(expected[build])
            for name, value in found.items():
                np.testing.assert_allclose(value, expected[build][name], rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("writer", WRITERS)
    def test_vocabularies_are_inside(self, served, writer):
        root, _ = served
        assert len(os.listdir(root / f"text_{writer}" / "saved" / "assets")) == 1


@pytest.mark.slow
def test_a_layer_saved_with_a_function(tmp_path):
    golden, folder = Golden("text_embed"), tmp_path / "layer"
    shutil.copytree(golden.path, tmp_path / "module")
    layer = hub.ModuleLayer(tmp_path / "module")
    serve = tf.function(lambda words: {"found": layer(words)})
    signature = serve.get_concrete_function(tf.TensorSpec([None], tf.string, name="words"))
    folder.mkdir()
    save_inputs(folder, {"words": recorded(golden, 0)["default"]})
    tf.saved_model.save(layer, str(folder / "saved"), signature)
    shutil.rmtree(tmp_path / "module")
    read_in_another_process(folder)
    for reader in ("tensorflow_2", "session", "loader"):
        with np.load(folder / f"{reader}.npz") as found:
            assert_same(found["found"], golden.outputs(0)["default"])


def test_several_endpoints(tmp_path):
    """Of two signatures, and of what is computed with one of them."""
    golden = Golden("convnet")
    features = hub.ModuleLayer(golden.path, as_dict=True)
    labels = hub.ModuleLayer(golden.path, signature="image_classification")
    images = [tf.TensorSpec([None, 32, 32, 3], tf.float32, name="images")]
    for layer in (features, labels):
        layer.build()
    archive = keras.export.ExportArchive()
    archive.track(features)
    archive.track(labels)
    archive.add_endpoint("features", features, images)
    archive.add_endpoint("best", lambda x: tf.argmax(labels(x), axis=-1), images)
    archive.write_out(str(tmp_path / "out"))
    inputs, classes = recorded(golden, 1)["images"], golden.outputs(1)["default"]
    with tf.Graph().as_default(), v1.Session() as session:
        signatures = v1.saved_model.load(session, ["serve"], str(tmp_path / "out")).signature_def
        assert {"features", "best", "serving_default"} <= set(signatures)

        def run(name):
            outputs = {key: info.name for key, info in signatures[name].outputs.items()}
            return session.run(outputs, {signatures[name].inputs["images"].name: inputs})

        (best,) = run("best").values()
        found = run("features")
    assert best.tolist() == classes.argmax(-1).tolist()
    assert_same(found["default"], features(inputs)["default"].numpy())


class TestFilesThatTheGraphReads:
    """They come along though no table is filled from them."""

    @pytest.fixture
    def module(self, publish, tmp_path):
        file = tmp_path / "greeting.txt"
        file.write_text("hello ")

        def reading_fn():
            names = v1.placeholder(tf.string, [None])
            path = tf.constant(str(file))
            v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, path)
            hub.add_signature(inputs=names, outputs={"default": tf.io.read_file(path) + names})
            hub.add_signature("path", inputs=names, outputs=tf.identity(path))

        path = publish(reading_fn)
        file.unlink()
        return path

    def exported(self, module, path, signature=None):
        names = keras.Input((), dtype="string", name="names")
        model = keras.Model(names, hub.ModuleLayer(module, signature=signature)(names))
        model.export(path, verbose=False)
        shutil.rmtree(module)
        return shutil.move(path, f"{path}_moved")

    @pytest.mark.slow
    def test_contents(self, module, tmp_path):
        folder = tmp_path / "model"
        folder.mkdir()
        shutil.move(self.exported(module, str(tmp_path / "out")), folder / "saved")
        save_inputs(folder, {"names": np.array([b"you", b"all"])})
        read_in_another_process(folder)
        for reader in ("tensorflow_2", "session", "loader"):
            with np.load(folder / f"{reader}.npz") as found:
                assert found["output_0"].tolist() == [b"hello you", b"hello all"]

    def test_path(self, module, tmp_path):
        moved = self.exported(module, str(tmp_path / "out"), "path")
        found = tf.saved_model.load(moved).serve(tf.constant(["x"])).numpy().decode()
        assert os.path.dirname(found) == os.path.join(moved, "assets")
        with open(found) as file:
            assert file.read() == "hello "

    def test_saved_again(self, module, tmp_path):
        moved = self.exported(module, str(tmp_path / "out"))
        tf.saved_model.save(tf.saved_model.load(moved), str(tmp_path / "again"))
        shutil.rmtree(moved)
        again = tf.saved_model.load(str(tmp_path / "again"))
        assert again.serve(tf.constant(["you"])).numpy().tolist() == [b"hello you"]

    def test_of_a_loaded_module(self, module, tmp_path):
        tf.saved_model.save(hub.load(module), str(tmp_path / "out"))
        shutil.rmtree(module)
        found = tf.saved_model.load(str(tmp_path / "out"))(tf.constant(["you"]))
        assert found.numpy().tolist() == [b"hello you"]


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
class TestFilesThatAreGone:
    def export(self, module, folder, write):
        shutil.copytree(module, folder / "module")
        names = keras.Input((), dtype="string", name="names")
        model = keras.Model(names, hub.ModuleLayer(folder / "module")(names))
        model(tf.constant(["cat"]))
        shutil.rmtree(folder / "module")
        with pytest.raises(hub.ExportError) as caught:
            write(model, str(folder / "out"))
        assert caught.value.found == "no such file"
        return caught.value.expected

    def test_of_a_table(self, write, tmp_path):
        expected = self.export(Golden("text_embed").path, tmp_path, write)
        assert expected == f"the file {tmp_path}/module/assets/zoo_vocab_1.txt"

    def test_that_the_graph_reads(self, write, publish, tmp_path):
        def reading_fn():
            x = v1.placeholder(tf.string, [None])
            path = tf.constant(str(tmp_path / "greeting.txt"))
            v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, path)
            hub.add_signature(inputs=x, outputs=tf.io.read_file(path) + x)

        (tmp_path / "greeting.txt").write_text("hello ")
        expected = self.export(publish(reading_fn), tmp_path, write)
        assert expected == f"the file {tmp_path}/module/assets/greeting.txt"


# What runs without ops from TensorFlow; test_convert.py has more of them.
LITE = [("convnet", 2), ("functions", 0), ("mlp_bn", 0), ("multi_io", 0), ("ref_vars", 0)]
SELECTED = {
    "bert_tiny": "StridedSlice",
    "rnn": "TensorListReserve",
    "text_embed": "StaticRegexReplace",
}


def lite_model(folder, select=False):
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    if select:
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.TFLITE_BUILTINS,
            tf.lite.OpsSet.SELECT_TF_OPS,
        ]
    return converter.convert()


def run_lite(model, **inputs):
    interpreter = tf.lite.Interpreter(model_content=model)
    return interpreter.get_signature_runner()(**inputs)


@pytest.mark.filterwarnings("ignore::UserWarning:tensorflow.lite")
class TestTensorFlowLite:
    @pytest.mark.parametrize("trainable", [False, True])
    @pytest.mark.parametrize(("name", "call"), LITE)
    def test_of_a_saved_model(self, name, call, trainable, tmp_path):
        golden = Golden(name)
        functional(golden, call, golden.path, trainable=trainable).export(
            tmp_path / "out", verbose=False
        )
        found = run_lite(lite_model(tmp_path / "out"), **recorded(golden, call))
        assert found.keys() == golden.outputs(call).keys()
        for key, value in golden.outputs(call).items():
            assert_same(found[key], value)

    def test_of_a_fine_tuned_model(self, tmp_path):
        golden = Golden("mlp_bn")
        layers = [hub.ModuleLayer(golden.path, trainable=True), keras.layers.Dense(2)]
        model = keras.Sequential([keras.Input((51,), name="x"), *layers])
        model.compile(keras.optimizers.SGD(0.01), "mse")
        x = recorded(golden, 0)["default"]
        before = model.predict(x, verbose=0)
        model.fit(x, np.ones((len(x), 2)), verbose=0)
        model.export(tmp_path / "out", verbose=False)
        (found,) = run_lite(lite_model(tmp_path / "out"), x=x).values()
        assert_same(found, model.predict(x, verbose=0))
        assert np.abs(found - before).max() > 1e-3

    def test_of_a_function(self):
        """What it converts along is variables of TensorFlow, not of Keras."""
        golden = Golden("mlp_bn")
        layer = hub.ModuleLayer(golden.path)
        function = tf.function(lambda x: {"y": layer(x)})
        concrete = function.get_concrete_function(tf.TensorSpec([None, 51], tf.float32, name="x"))
        holder = tf.Module()
        holder.held = [weight.value for weight in layer.weights]
        converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], holder)
        found = run_lite(converter.convert(), x=recorded(golden, 0)["default"])
        assert_same(found["y"], golden.outputs(0)["default"])

    @pytest.mark.parametrize("name", SELECTED)
    def test_ops_from_tensorflow_when_told_so(self, name, tmp_path):
        golden = Golden(name)
        functional(golden, 0, golden.path).export(tmp_path / "out", verbose=False)
        with pytest.raises(Exception, match=f"(?s){SELECTED[name]}.*|select"):
            lite_model(tmp_path / "out")
        assert SELECTED[name] in select_ops(lite_model(tmp_path / "out", select=True))

    def test_vocabulary_is_inside(self, publish, tmp_path):
        def table_fn():
            words = v1.placeholder(tf.string, [None])
            initializer = tf.lookup.TextFileInitializer(
                str(tmp_path / "words.txt"),
                *(tf.string, tf.lookup.TextFileIndex.WHOLE_LINE),
                *(tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER),
            )
            table = tf.lookup.StaticHashTable(initializer, default_value=-1)
            hub.add_signature(inputs=words, outputs=table.lookup(words))

        (tmp_path / "words.txt").write_text("cat\ndog\n")
        words = keras.Input((), dtype="string", name="words")
        layer = hub.ModuleLayer(publish(table_fn))
        model = keras.Model(words, layer(words))
        given = np.array([b"dog", b"cow", b"cat"])
        model.export(tmp_path / "files", verbose=False)
        with pytest.raises(RuntimeError, match="hashtable need to be initialized"):
            run_lite(lite_model(tmp_path / "files"), words=given)
        layer.hold_vocabularies()
        model.export(tmp_path / "held", verbose=False)
        found = run_lite(lite_model(tmp_path / "held"), words=given)
        assert found["output_0"].tolist() == [1, -1, 0]
        assert model(tf.constant(["dog"])).numpy().tolist() == [1]


@pytest.fixture
def onnxruntime():
    pytest.importorskip("tf2onnx")
    return pytest.importorskip("onnxruntime")


def run_onnx(onnxruntime, path, inputs):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    wanted = {given.name for given in session.get_inputs()}
    given = {name: value for name, value in inputs.items() if name in wanted}
    return dict(zip(names, session.run(names, given), strict=True))


class TestOnnx:
    def test_of_a_keras_model(self, onnxruntime, tmp_path):
        golden = Golden("convnet")
        images = keras.Input((32, 32, 3), name="images")
        layer = hub.ModuleLayer(golden.path, signature="image_classification")
        model = keras.Model(images, keras.layers.Rescaling(2.0)(layer(images)))
        model.predict(recorded(golden, 1)["images"], verbose=0)
        model.export(tmp_path / "m.onnx", format="onnx", verbose=False)
        (found,) = run_onnx(onnxruntime, tmp_path / "m.onnx", recorded(golden, 1)).values()
        assert_same(found, 2 * golden.outputs(1)["default"])

    def test_of_the_documentation(self, onnxruntime, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        golden = Golden("mlp_bn")
        (recipe,) = [b for b in code_blocks("docs/export.md", "python") if "to_onnx" in b]
        names = {"handle": golden.path, "x": recorded(golden, 0)["default"]}
        exec(recipe, names)
        assert_same(names["found"], golden.outputs(0)["default"])
