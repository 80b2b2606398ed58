"""Outputs that no op of the graph computes: what goes in, state, assets, constants.

Each kind of output, in each way of using a module, has the value that a session
of the original library gives. (For an asset that is TF1's; what the original's
``hub.load`` makes of it is the publisher's placeholder, ``SAVEDMODEL-ASSET``.)
"""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from hub_keras_bridge.cli.main import main
from hub_keras_bridge.tools.convert.saved_model import to_saved_model

v1 = tf.compat.v1

VOCABULARY = "a\nb\nc\n"
WHOLE_LINE, LINE_NUMBER = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
TABLE = "table"
OF_STATE = {
    "path": VOCABULARY,  # of the file that it leads to
    "path_copy": VOCABULARY,
    "unfed": 7.0,
    "optional": [5.0, 6.0],
    "constant": True,
    "variable": [[1.0, 2.0], [3.0, 4.0]],
    "read": [[1.0, 2.0], [3.0, 4.0]],
    "handle": [[1.0, 2.0], [3.0, 4.0]],
    "partitioned": [0.0, 0.0, 0.0, 0.0],
    "size": 4,
    "ids": [0, 1, 3],
}
OF_INPUTS = {**OF_STATE, "same": [[1.0, 1.0]], "default": [[4.0, 6.0]]}
X, OPTIONAL = [[1.0, 1.0]], [8.0, 9.0]
# Signature -> what goes in, and what comes out.
SIGNATURES = {
    "state": ({}, OF_STATE),
    "default": ({"x": X}, OF_INPUTS),
    "both": ({"x": X, "optional": OPTIONAL}, {**OF_INPUTS, "optional": OPTIONAL}),
    "tokenization_info": ({}, {"vocab_file": VOCABULARY, "do_lower_case": True}),
}


def table_of(path):
    initializer = tf.lookup.TextFileInitializer(path, tf.string, WHOLE_LINE, tf.int64, LINE_NUMBER)
    return tf.lookup.StaticVocabularyTable(initializer, 1)


def module_fn(vocabulary, use_resource, is_training):
    with v1.variable_scope("s", use_resource=use_resource):
        variable = v1.get_variable("v", initializer=[[1.0, 2.0], [3.0, 4.0]])
        calls = v1.get_variable("calls", initializer=0.0, trainable=False)
        partitioned = v1.get_variable(
            "parts",
            [4],
            initializer=v1.zeros_initializer(),
            partitioner=v1.fixed_size_partitioner(2),
        )
    if is_training:
        v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, v1.assign_add(calls, 1.0).op)
    path = tf.constant(vocabulary, name="vocab_file")
    v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, path)
    table = table_of(path)
    x = v1.placeholder(tf.float32, [None, 2])
    optional = v1.placeholder_with_default(tf.constant([5.0, 6.0]), [2])
    constant = tf.constant(True)
    state = {
        "path": path,
        "path_copy": tf.identity(path),
        "unfed": v1.placeholder_with_default(tf.constant(7.0), []),
        "optional": optional,
        "constant": constant,
        "variable": tf.convert_to_tensor(variable),
        "read": variable.read_value(),
        # Of a reference variable the reference itself.
        "handle": variable.read_value() if use_resource else variable.op.outputs[0],
        "partitioned": tf.convert_to_tensor(partitioned),
        "size": table.size(),
        "ids": table.lookup(tf.constant(["a", "b", "unknown"])),
    }
    outputs = {**state, "same": x, "default": x @ variable}
    hub.add_signature("state", {}, state)
    hub.add_signature("default", {"x": x}, outputs)
    hub.add_signature("both", {"x": x, "optional": optional}, outputs)
    hub.add_signature("tokenization_info", {}, {"vocab_file": path, "do_lower_case": constant})


@pytest.fixture(scope="module", params=["resources", "references"])
def path(request, tmp_path_factory):
    """A module with a variant for training."""
    folder = tmp_path_factory.mktemp("outside")
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text(VOCABULARY)
    arguments = {"vocabulary": str(vocabulary), "use_resource": request.param == "resources"}
    spec = hub.create_module_spec(
        module_fn,
        [
            (set(), {**arguments, "is_training": False}),
            ({"train"}, {**arguments, "is_training": True}),
        ],
    )
    hub.ModuleLayer(spec).export_module(folder / "module")
    vocabulary.unlink()
    return str(folder / "module")


def assert_outputs(found, expected, below=None):
    """Compares values; of paths, where they lead and what is there."""
    assert found.keys() == expected.keys()
    for key, value in found.items():
        if value.dtype == tf.string:
            file = pathlib.Path(value.numpy().decode())
            assert file.read_text() == expected[key], key
            assert below is None or file.is_relative_to(below), key
        else:
            np.testing.assert_array_equal(value, expected[key], err_msg=key)


def as_tensors(inputs):
    return {name: tf.constant(value) for name, value in inputs.items()}


@keras.saving.register_keras_serializable("test_outputs_from_outside")
class Asks(keras.Model):
    """Gives out what a layer computes: of the model's input, or of nothing."""

    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        self.layer = layer

    def build(self, input_shape=None):
        self.layer.build()
        self.built = True

    def call(self, inputs, training=None):
        signature = self.layer.get_config()["signature"]
        given, _ = SIGNATURES[signature]
        values = {"x": inputs, "optional": tf.constant(OPTIONAL)}
        named = {name: values[name] for name in given}
        return self.layer(named or None, training=training)

    def get_config(self):
        return {**super().get_config(), "layer": keras.saving.serialize_keras_object(self.layer)}

    @classmethod
    def from_config(cls, config):
        layer = keras.saving.deserialize_keras_object(config.pop("layer"))
        return cls(layer, **config)


@pytest.mark.parametrize("signature", SIGNATURES)
class TestEachKindOfOutput:
    @pytest.mark.parametrize("trainable", [False, True])
    @pytest.mark.parametrize("training", [False, True])
    def test_of_a_layer(self, path, signature, trainable, training):
        inputs, expected = SIGNATURES[signature]
        layer = hub.ModuleLayer(path, signature=signature, as_dict=True, trainable=trainable)
        for _ in range(2):
            assert_outputs(layer(inputs, training=training), expected, below=path)
        assert float(layer.variable_map["s/calls"].numpy()) == 2.0 * (trainable and training)

    def test_in_a_function(self, path, signature):
        inputs, expected = SIGNATURES[signature]
        layer = hub.ModuleLayer(path, signature=signature, as_dict=True)
        assert_outputs(tf.function(lambda: layer(as_tensors(inputs)))(), expected, below=path)

    def test_of_a_model_saved_and_exported(self, path, signature, tmp_path):
        _, expected = SIGNATURES[signature]
        model = Asks(hub.ModuleLayer(path, signature=signature, as_dict=True))
        model(tf.constant(X))
        model.save(tmp_path / "m.keras")
        loaded = keras.models.load_model(tmp_path / "m.keras")
        assert_outputs(loaded(tf.constant(X)), expected)
        loaded.export(tmp_path / "exported", verbose=False)
        exported = tf.saved_model.load(tmp_path / "exported")
        assert_outputs(exported.serve(tf.constant(X)), expected, below=tmp_path / "exported")


@pytest.mark.parametrize("tags", [set(), {"train"}])
def test_of_what_load_returns(path, tags, tmp_path):
    module = hub.load(path, tags)
    for signature, (inputs, expected) in SIGNATURES.items():
        found = module.signatures[signature](**as_tensors(inputs))
        assert_outputs(found, expected, below=path)
    tf.saved_model.save(module, tmp_path, module.signatures)
    saved = tf.saved_model.load(tmp_path)
    for signature, (inputs, expected) in SIGNATURES.items():
        found = saved.signatures[signature](**as_tensors(inputs))
        assert_outputs(found, expected, below=tmp_path)


@pytest.mark.parametrize("signature", ["both", "tokenization_info"])
def test_of_what_is_converted(path, signature, tmp_path):
    inputs, expected = SIGNATURES[signature]
    to_saved_model(path, tmp_path / "converted", signature=signature)
    converted = tf.saved_model.load(tmp_path / "converted")
    for name in (signature, "serving_default"):
        found = converted.signatures[name](**as_tensors(inputs))
        assert_outputs(found, expected, below=tmp_path / "converted")


@pytest.mark.parametrize("tags", [set(), {"train"}])
def test_in_a_graph(path, tags):
    with hub.eval_function_for_module(path, tags) as evaluate:
        for signature, (inputs, expected) in SIGNATURES.items():
            found = evaluate(inputs or None, signature, as_dict=True)
            assert_outputs({k: tf.constant(v) for k, v in found.items()}, expected, below=path)


@pytest.mark.parametrize("key", OF_INPUTS)
def test_one_output_alone(path, key):
    inputs, expected = SIGNATURES["both"]
    layer = hub.ModuleLayer(path, signature="both", output_key=key)
    assert_outputs({key: layer(inputs)}, {key: expected[key]}, below=path)


def test_a_functional_model(path, tmp_path):
    inputs = {"x": keras.Input((2,)), "optional": keras.Input(batch_shape=(2,))}
    layer = hub.ModuleLayer(path, signature="both", as_dict=True, trainable=True)
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "m.keras")
    given, expected = SIGNATURES["both"]
    for each in (model, keras.models.load_model(tmp_path / "m.keras")):
        assert_outputs(each(as_tensors(given), training=True), expected)


def test_an_input_given_out_has_the_gradient_one(path):
    layer = hub.ModuleLayer(path, output_key="same", trainable=True)
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
    np.testing.assert_array_equal(tape.gradient(y, x), np.ones_like(X))


def test_a_variable_given_out_can_be_trained(path):
    layer = hub.ModuleLayer(path, signature="state", output_key="variable", trainable=True)
    with tf.GradientTape() as tape:
        y = layer(training=True)
    weight = layer.variable_map["s/v"].value
    np.testing.assert_array_equal(tape.gradient(y, weight), np.ones([2, 2]))


class TestExamples:
    def test_without_an_input_there_are_none(self, path, tmp_path):
        (tmp_path / "in.jsonl").write_text("{}\n")
        with pytest.raises(hub.SignatureError) as raised:
            hub.apply_to_file(
                path,
                tmp_path / "in.jsonl",
                tmp_path / "out.jsonl",
                signature="tokenization_info",
            )
        assert "no input varies" in str(raised.value)
        assert raised.value.advice == "call hub.ModuleLayer(...) once instead"

    def test_an_input_given_out(self, path, tmp_path):
        np.save(tmp_path / "in.npy", np.array([[1.0, 2.0], [3.0, 4.0]], np.float32))
        assert main(["apply", path, *self.files(tmp_path), "--output-key", "same"]) == 0
        np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), [[1.0, 2.0], [3.0, 4.0]])

    def test_the_path_of_an_asset_is_no_row(self, path, tmp_path, capsys):
        np.save(tmp_path / "in.npy", np.ones([2, 2], np.float32))
        assert main(["apply", path, *self.files(tmp_path), "--output-key", "path"]) == 1
        assert "Output 'path' of a TF1 Hub module has no row per example" in capsys.readouterr().err

    @staticmethod
    def files(folder):
        return ["--input", str(folder / "in.npy"), "--output", str(folder / "out.npy")]


def test_beside_control_flow(tmp_path):
    """Where the graph is rewritten before it runs."""
    (tmp_path / "vocab.txt").write_text(VOCABULARY)

    def module_fn():
        x = v1.placeholder(tf.float32, [None, 2])
        unread = v1.placeholder(tf.float32, [2])
        path = tf.constant(str(tmp_path / "vocab.txt"))
        v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, path)
        v1.disable_control_flow_v2()
        try:
            chosen = tf.cond(tf.reduce_sum(x) > 0.0, lambda: 2.0 * x, lambda: x)
        finally:
            v1.enable_control_flow_v2()
        outputs = {"same": x, "unread": unread, "path": path, "default": chosen}
        hub.add_signature("default", {"x": x, "unread": unread}, outputs)

    layer = hub.ModuleLayer(hub.create_module_spec(module_fn), as_dict=True)
    found = layer({"x": X, "unread": OPTIONAL})
    expected = {"same": X, "unread": OPTIONAL, "path": VOCABULARY, "default": [[2.0, 2.0]]}
    assert_outputs(found, expected)


def test_compiled_by_xla():
    def module_fn():
        x = v1.placeholder(tf.float32, [2])
        w = v1.get_variable("w", initializer=[3.0, 4.0])
        hub.add_signature(inputs=x, outputs={"same": x, "weight": w.value(), "default": x * w})

    layer = hub.ModuleLayer(hub.create_module_spec(module_fn), as_dict=True)
    found = tf.function(layer, jit_compile=True)(tf.constant([1.0, 2.0]))
    expected = {"same": [1.0, 2.0], "weight": [3.0, 4.0], "default": [3.0, 8.0]}
    assert_outputs(found, expected)
