"""The table of docs/backends.md is true on whatever Keras computes with."""

import copy
import json
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.backends import BACKEND, numbers
from helpers.golden import Golden
from helpers.places import GOLDEN, ROOT

v1 = tf.compat.v1
X = np.float32([[1, 2], [3, 4]])
SCALED = [[3, 6], [9, 12]]


def lines_of(page, section):
    """The cells of a table's lines."""
    text = (ROOT / page).read_text().partition(f"## {section}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| (.+) \| (.+) \| (.+) \| (.+) \|$", text, re.MULTILINE)


def rows():
    """Feature -> what the table says of this backend."""
    lines = lines_of("docs/backends.md", "What works where")
    column = 1 + ["tensorflow", "jax", "torch"].index(BACKEND)
    return {line[0]: line[column] for line in lines}


TOLD = rows()


# --- modules ---


def kinds_fn():
    texts = v1.placeholder(tf.string, [None])
    lengths = tf.cast(tf.strings.length(texts), tf.float32)
    factor = v1.get_variable("factor", initializer=[2.0, 3.0])
    outputs = {"default": lengths[:, None] * factor, "shouted": tf.strings.upper(texts)}
    hub.add_signature("text", texts, outputs)
    sparse = v1.sparse_placeholder(tf.float32, [None, 3])
    hub.add_signature("sparse", sparse, tf.sparse.to_dense(sparse) * 2)
    sparse = v1.sparse_placeholder(tf.float32, [None, 3])
    hub.add_signature("sparse_out", sparse, sparse * 2.0)
    ragged = v1.ragged.placeholder(tf.float32, 1, [])
    hub.add_signature("ragged", ragged, ragged.to_tensor() * 2)
    ragged = v1.ragged.placeholder(tf.float32, 1, [])
    hub.add_signature("ragged_out", ragged, ragged * 2.0)
    for dtype in (tf.float64, tf.int64):
        x = v1.placeholder(dtype, [None])
        hub.add_signature(dtype.name, x, x + 1)


@pytest.fixture
def kinds():
    spec = hub.create_module_spec(kinds_fn)
    return lambda signature, **chosen: hub.ModuleLayer(spec, signature=signature, **chosen)


@pytest.fixture
def scale(scale_spec):
    return hub.ModuleLayer(scale_spec, trainable=True, name="scale")


def compiled(*layers, dtype="float32", shape=(2,)):
    model = keras.Sequential([keras.Input(shape, dtype=dtype), *layers])
    model.compile(keras.optimizers.SGD(0.01), "mse")
    return model


# --- a check of each row ---


def fits():
    golden = Golden("mlp_bn")
    layer = hub.ModuleLayer(golden.path, trainable=True, training_tags=golden.tune["tags"])
    x, y = next(golden.batches())
    model = compiled(layer, shape=x.shape[1:])
    before = {name: numbers(v).copy() for name, v in layer.variable_map.items()}
    model.fit(x, y, verbose=0)
    assert all((numbers(v) != before[name]).any() for name, v in layer.variable_map.items())
    assert len(layer.losses) == golden.tune["regularization_losses"]
    assert model.predict(x, verbose=0).shape == y.shape
    assert model.evaluate(x, y, verbose=0) > 0


def strings_in_a_call(kinds):
    for texts in (["a", "four"], np.array(["a", "four"]), tf.constant(["a", "four"])):
        np.testing.assert_array_equal(numbers(kinds("text")(texts)), [[2, 3], [8, 12]])


def bytes_in_fit(kinds):
    layer = kinds("text", trainable=True)
    model = compiled(layer, dtype="uint8", shape=(6,))
    rows = hub.text_to_bytes(["a", "four"], 6)
    np.testing.assert_array_equal(model.predict(rows, verbose=0), [[2, 3], [8, 12]])
    model.fit(rows, np.zeros([2, 2]), verbose=0)
    assert (numbers(layer.variable_map["factor"]) < [2, 3]).all()


def strings_in_fit(kinds):
    model = compiled(kinds("text", trainable=True), dtype="string", shape=())
    model.fit(tf.constant(["a", "four"]), np.zeros([2, 2]), verbose=0)


def sparse_and_ragged_in(kinds):
    dense = [[1.0, 0.0, 2.0]]
    for value in (tf.sparse.from_dense(dense), np.float32(dense)):
        np.testing.assert_array_equal(numbers(kinds("sparse")(value)), [[2, 0, 4]])
    ragged = tf.ragged.constant([[1.0], [2.0, 3.0]])
    np.testing.assert_array_equal(numbers(kinds("ragged")(ragged)), [[2, 0], [4, 6]])


def strings_out(kinds):
    assert kinds("text", output_key="shouted")(["a"]).numpy().tolist() == [b"A"]


def sparse_and_ragged_out(kinds):
    found = kinds("ragged_out")(tf.ragged.constant([[1.0], [2.0, 3.0]]))
    assert found.to_list() == [[2.0], [4.0, 6.0]]
    found = kinds("sparse_out")(tf.sparse.from_dense([[1.0, 0.0, 2.0]]))
    assert tf.sparse.to_dense(found).numpy().tolist() == [[2.0, 0.0, 4.0]]


def wide_floats(kinds):
    assert numbers(kinds("float64")(np.array([0.1]))).tolist() == [1.1]


def whole_numbers(kinds):
    assert numbers(kinds("int64")(np.array([2**20]))).tolist() == [2**20 + 1]


def wide_whole_numbers(kinds):
    assert numbers(kinds("int64")(np.array([2**40]))).tolist() == [2**40 + 1]


def signatures_and_names(kinds):
    text = kinds("text", trainable=True, trainable_patterns="factor")
    other = text.with_signature("sparse")
    np.testing.assert_array_equal(numbers(other(np.float32([[1, 0, 2]]))), [[2, 0, 4]])
    assert other.weights[0] is text.weights[0] is text.variable_map["factor"]
    assert text.trainable_weights == text.weights
    with pytest.raises(hub.TrainingError):
        kinds("text", trainable=True, trainable_patterns="other").build()


def mixed_precision(scale_spec):
    for policy in ("mixed_bfloat16", "mixed_float16"):
        layer = hub.ModuleLayer(scale_spec, dtype=policy, trainable=True)
        assert keras.backend.standardize_dtype(layer(X).dtype) == policy.removeprefix("mixed_")
        assert layer.weights[0].dtype == "float32"


def files_and_copies(scale, tmp_path):
    model = compiled(scale)
    model.fit(X, X, verbose=0)
    expected = model.predict(X, verbose=0)
    assert (expected != SCALED).any()
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    clone = keras.models.clone_model(model)
    clone.load_weights(tmp_path / "model.weights.h5")
    for other in (keras.models.load_model(tmp_path / "model.keras"), clone, copy.deepcopy(model)):
        np.testing.assert_allclose(numbers(other(X)), expected, rtol=1e-6)
    assert not re.search("jax|torch|tensorflow", str(scale.get_config()))


def checkpoints_and_exports(scale, scale_spec, tmp_path):
    with tf.Graph().as_default(), v1.Session() as session:
        hub.Module(scale_spec, trainable=True)
        session.run([v.assign([5.0, 7.0]) for v in v1.trainable_variables()])
        saved = v1.train.Saver().save(session, str(tmp_path / "saved"))
    scale.load_checkpoint(saved)
    scale.export_module(tmp_path / "module")
    exporter = hub.LatestModuleExporter(tmp_path / "exports")
    model = compiled(scale)
    for path in (tmp_path / "module", exporter_path(model, exporter)):
        np.testing.assert_array_equal(hub.load(path)(X), [[5, 14], [15, 28]])


def exporter_path(model, exporter):
    exporter.set_model(model)
    return exporter.export()["scale"]


def tensorflow_alone(scale, scale_path, tmp_path):
    np.testing.assert_array_equal(hub.load(scale_path)(X), SCALED)
    with tf.Graph().as_default(), v1.Session() as session:
        found = hub.Module(scale_path)(X)
        session.run(v1.global_variables_initializer())
        np.testing.assert_array_equal(session.run(found), SCALED)
    scale.build()
    scale.weights[0].assign([5.0, 7.0])
    by_now = hub.compile(scale, engine="tensorflow")(X)
    np.testing.assert_array_equal(by_now, [[5, 14], [15, 28]])
    np.save(tmp_path / "in.npy", X)
    hub.apply_to_file(scale_path, tmp_path / "in.npy", tmp_path / "out.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), SCALED)


def saved_models_and_old_files():
    archives = GOLDEN / "keras_archives"
    recorded = json.loads((archives / "recorded.json").read_text())
    for name in ("saved_model", "variants"):
        model = keras.models.load_model(archives / f"{name}.keras", compile=False)
        x, y = (np.float32(recorded[name][key]) for key in ("inputs", "outputs"))
        np.testing.assert_allclose(model.predict(x, verbose=0), y, rtol=1e-6, atol=1e-6)
        losses = [float(numbers(loss)) for loss in model.losses]
        np.testing.assert_allclose(losses, recorded[name]["losses"], rtol=1e-6)
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.fit(x, np.zeros_like(y), verbose=0)
        assert (model.predict(x, verbose=0) != y).any()


def tensorflow_checkpoint(scale, tmp_path):
    scale.build()
    tf.train.Checkpoint(layer=scale).save(str(tmp_path / "checkpoint"))


def export_of_a_model(scale, tmp_path):
    compiled(scale).export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_array_equal(exported.serve(X), SCALED)


CHECKS = {
    "`fit`, `evaluate`, `predict`; losses and update ops of the module": fits,
    "lists and arrays of strings in a call of the layer": strings_in_a_call,
    "`hub.text_to_bytes` in `fit` and `predict`": bytes_in_fit,
    "strings in `fit` and `predict`": strings_in_fit,
    "sparse and ragged inputs of a call": sparse_and_ragged_in,
    "outputs of strings": strings_out,
    "sparse and ragged outputs": sparse_and_ragged_out,
    "outputs in float64": wide_floats,
    "outputs in int64, of numbers that 32 bits hold": whole_numbers,
    "outputs in int64, of others": wide_whole_numbers,
    "`with_signature`, `trainable_patterns`, `variable_map`": signatures_and_names,
    "mixed precision": mixed_precision,
    "`.keras` files, weights files, `clone_model`, `deepcopy`": files_and_copies,
    "`load_checkpoint`, `export_module`, `LatestModuleExporter`": checkpoints_and_exports,
    "`hub.load`, `hub.Module`, `hub.compile`, publishing, `hub.apply_to_file`": tensorflow_alone,
    "TF2 SavedModels, `.keras` files of version 0.1.0": saved_models_and_old_files,
    "`tf.train.Checkpoint` of a layer": tensorflow_checkpoint,
    "`model.export()`": export_of_a_model,
}

# What errors say.
TEXTS = {
    "strings in `fit` and `predict`": "Invalid dtype: object",
    "outputs of strings": "Cannot return output 'shouted' of a TF1 Hub module to (JAX|PyTorch)",
    "sparse and ragged outputs": "Cannot return output 'default' of a TF1 Hub module",
    "outputs in float64": "jax_enable_x64",
    "outputs in int64, of others": "jax_enable_x64",
    "`tf.train.Checkpoint` of a layer": "trackable",
}


def test_each_row_has_a_check():
    assert list(TOLD) == list(CHECKS)


def test_the_readme_has_some_of_the_rows():
    short = lines_of("README.md", "JAX and PyTorch")
    assert len(short) > 8
    assert set(short) <= set(lines_of("docs/backends.md", "What works where"))


@pytest.mark.parametrize("feature", CHECKS)
def test_row(feature, request):
    check = CHECKS[feature]
    names = check.__code__.co_varnames[: check.__code__.co_argcount]
    given = [request.getfixturevalue(name) for name in names]
    told = TOLD[feature]
    if told == "yes":
        check(*given)
        return
    with pytest.raises(Exception, match=TEXTS.get(feature)) as raised:
        check(*given)
    assert told in ("no", f"`{type(raised.value).__name__}`")
