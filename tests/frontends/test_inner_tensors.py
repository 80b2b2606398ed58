"""Outputs that are in no signature, by their published names.

What is expected, a session finds in a TF1 graph under these names.
"""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.golden import Golden
from helpers.inner_tensors import assert_values, in_session, returnable
from helpers.tf1_reference import v1_control_flow
from hub_keras_bridge.frontends.keras3 import tf1_saving

v1 = tf.compat.v1

ATTENTION, LAYER = "bert/layer_0/Softmax:0", "bert/layer_0/query/BiasAdd:0"


def chosen(name):
    """Of a golden module: its spec, the first recorded call's inputs, and how it is called."""
    golden = Golden(name)
    entry = golden.oracle["apply"][0]
    call = {"signature": entry["signature"] or "default", "tags": entry["tags"]}
    return hub.load_module_spec(golden.path), golden.inputs(0), call


@pytest.mark.parametrize(
    "name",
    ["bert_tiny", "convnet", "functions", "mlp_bn", "nested", "ref_vars", "rnn", "text_embed"],
)
def test_all_that_a_signature_feeds(name):
    """Constants, variables, paths, ids, what leaves loops: by one layer, in a dict."""
    spec, inputs, call = chosen(name)
    names = returnable(spec.variant(call["tags"]), call["signature"])
    assert len(names) > 10
    expected, _ = in_session(spec, inputs, names, **call)
    layer = hub.ModuleLayer(spec, output_key=names, training_tags=call["tags"], **call)
    found = layer(inputs)
    assert list(found) == names
    assert_values(found, expected)


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("bert_tiny", ["bert/layer_0/query/BiasAdd:0", "bert/add_3:0"]),
        # A batch normalization moves into the convolution before it, unless this is asked for.
        ("convnet", ["bn0/FusedBatchNormV3:0", "conv1/Conv2D:0", "bn1/FusedBatchNormV3:0"]),
        ("mlp_bn", ["bn/batchnorm/add_1:0", "Relu:0"]),
        ("nested", ["first_apply_default/while/Exit_1:0"]),
        ("ref_vars", ["w:0", "MatMul:0"]),
        ("rnn", ["rnn/while:4", "rnn/while/Identity_5:0"]),
        ("text_embed", ["embedding_lookup/embedding_lookup_sparse:0"]),
    ],
)
def test_alone_and_trained(name, keys):
    spec, inputs, call = chosen(name)
    expected, gradients = in_session(spec, inputs, keys, gradients_of=keys, **call)
    for key in keys:
        layer = hub.ModuleLayer(
            spec, output_key=key, trainable=True, training_tags=call["tags"], **call
        )
        with tf.GradientTape() as tape:
            value = layer(inputs, training=True)
            loss = tf.reduce_sum(value**2)
        assert_values({key: value}, {key: expected[key]})
        by_node = {facts.node: weight.value for facts, weight in layer._content.weights}
        trained = {node: by_node[node] for node in gradients[key]}
        found = tape.gradient(loss, trained, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        assert_values({n: tf.convert_to_tensor(g) for n, g in found.items()}, gradients[key], 1e-4)


@pytest.fixture(scope="module")
def flowing(tmp_path_factory):
    """A module with a loop over an array, and a branch in it and one outside."""

    def module_fn():
        x = v1.placeholder(tf.float32, [3, 2], name="x")
        w = v1.get_variable("w", initializer=[[0.5, 1.0], [2.0, 0.25]])
        array = tf.TensorArray(tf.float32, 3, name="array")

        def body(step, state, written):
            state = tf.tanh(tf.matmul(state + x[step][None], w, name="product"))
            state = v1.cond(state[0, 0] > 0.0, lambda: 2.0 * state, lambda: state, name="inner")
            return step + 1, state, written.write(step, state)

        _, last, written = tf.while_loop(
            lambda step, *_: step < 3, body, [0, tf.zeros([1, 2]), array], name="loop"
        )
        states = tf.reshape(written.stack("stack"), [3, 2], name="states")
        positive = tf.reduce_sum(states) > 0.0
        y = v1.cond(
            positive,
            lambda: tf.multiply(last, 3.0, name="branch"),
            lambda: last - 1.0,
            name="outer",
        )
        hub.add_signature(inputs=x, outputs=tf.identity(y, name="y"))
        other = v1.placeholder(tf.float32, [], name="other")
        unread = tf.add(other, 1.0, name="of_other")
        hub.add_signature("both", {"x": x, "other": other}, y + unread)

    with v1_control_flow():
        spec = hub.create_module_spec(module_fn)
    folder = str(tmp_path_factory.mktemp("flowing") / "module")
    with tf.Graph().as_default(), v1.Session() as session:
        module = hub.Module(spec)
        session.run(v1.global_variables_initializer())
        module.export(folder, session)
    return hub.load_module_spec(folder)


X = np.array([[1.0, 0.5], [-2.0, 0.5], [0.25, 1.0]], np.float32)


class TestControlFlow:
    def test_what_leaves_it(self, flowing):
        names = returnable(flowing.variant(None), "default")
        assert {"loop/Exit_1:0", "outer/Merge:0", "outer/Merge:1", "states:0"} <= set(names)
        assert not {"array:1", "loop/Exit_2:0", "loop/Tanh:0", "outer/branch:0"} & set(names)
        expected, _ = in_session(flowing, X, names)
        for name in sorted(set(names) - {"x:0"}):
            layer = hub.ModuleLayer(flowing, output_key=name)
            assert_values({name: layer(X)}, {name: expected[name]})

    def test_gradients(self, flowing):
        names = ["loop/Exit_1:0", "states:0", "outer/Merge:0"]
        _, gradients = in_session(flowing, X, names, gradients_of=names)
        for name in names:
            layer = hub.ModuleLayer(flowing, output_key=name, trainable=True)
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(layer(X, training=True) ** 2)
            gradient = tape.gradient(loss, layer.variable_map["w"].value)
            assert_values({"w": gradient}, gradients[name])

    @pytest.mark.parametrize(
        ("key", "found", "advice"),
        [
            ("loop/Tanh:0", "of type Tanh: within a loop", "one of its Exit nodes"),
            ("outer/branch:0", "within a branch of a conditional", "output of a Merge node"),
            ("loop/Exit_2:0", "the flow of a TensorArray", "ask for what reads the array"),
            ("array:0", "of type TensorArrayV3: a handle", "ask for what reads it"),
            ("w:0", "of type VarHandleOp: a handle", "the output of v/Read/ReadVariableOp"),
        ],
    )
    def test_what_has_no_value(self, flowing, key, found, advice):
        with pytest.raises(hub.SignatureError, match="Cannot return tensor") as caught:
            hub.ModuleLayer(flowing, output_key=key)
        assert caught.value.expected == "a tensor that has one value in a call"
        assert found in caught.value.found
        assert advice in caught.value.advice


class TestNames:
    def test_an_output_of_the_name_goes_first(self):
        def module_fn():
            x = v1.placeholder(tf.float32, [], name="x")
            hub.add_signature(inputs=x, outputs={"default": x, "y:0": x + 1.0})
            tf.multiply(x, 5.0, name="y")

        spec = hub.create_module_spec(module_fn)
        assert float(hub.ModuleLayer(spec, output_key="y:0")(2.0)) == 3.0

    def test_an_input_and_a_list(self):
        spec, inputs, _ = chosen("mlp_bn")
        keys = ["hidden_activations", "Placeholder:0", "default"]
        found = hub.ModuleLayer(spec, output_key=keys)(inputs)
        assert list(found) == keys
        np.testing.assert_array_equal(found["Placeholder:0"], inputs)
        everything = hub.ModuleLayer(spec, output_key="Relu:0", as_dict=True)(inputs)
        assert list(everything) == ["default", "hidden_activations", "Relu:0"]
        np.testing.assert_array_equal(everything["Relu:0"], everything["hidden_activations"])

    def refusal(self, spec, key, **kwargs):
        with pytest.raises(hub.SignatureError) as caught:
            hub.ModuleLayer(spec, output_key=key, **kwargs)
        return caught.value

    @pytest.mark.parametrize(
        ("key", "near"),
        [
            ("module_apply_default/layer1/BiasAdd:0", "'layer1/BiasAdd:0'"),
            ("BiasAdd:0", "'layer1/BiasAdd:0', 'layer2/BiasAdd:0'"),
            ("layer1/biasAdd:0", "'layer1/BiasAdd:0', 'layer2/BiasAdd:0'"),
            ("layer1/BiasAdd:1", "'layer1/BiasAdd:0'"),
        ],
    )
    def test_no_such_tensor(self, key, near):
        path = Golden("mlp_bn").path
        assert str(self.refusal(path, key)) == (
            f"A signature of a TF1 Hub module has no output {key!r}, its graph no tensor of that "
            "name.\n"
            f"  In: module {path!r}, tags {{}}, signature 'default'\n"
            "  Expected: one of 'default', 'hidden_activations', or a tensor of the graph, such as "
            f"{near}\n"
            f"  Found: {key!r}\n"
            "  What to do: look for the name with hub-keras-bridge inspect HANDLE --nodes PATTERN; "
            "a variant for training (training_tags) may have others"
        )

    def test_no_name(self):
        error = self.refusal(Golden("mlp_bn").path, 3)
        assert str(error).startswith("A signature of a TF1 Hub module has no output 3.\n")

    def test_a_node(self):
        error = self.refusal(Golden("mlp_bn").path, "Relu")
        assert "has no output 'Relu'." in str(error)
        assert error.advice.endswith("; for what node 'Relu' of the graph gives, for 'Relu:0'")

    def test_only_one_variant_has_it(self):
        path, x = Golden("mlp_bn").path, Golden("mlp_bn").inputs(0)
        key = "bn/moments/mean:0"
        assert "tags {}" in str(self.refusal(path, key))
        assert hub.ModuleLayer(path, tags={"train"}, output_key=key)(x).shape == (1, 32)

    def test_something_is_not_fed(self, flowing):
        error = self.refusal(flowing, "of_other:0")
        assert "Cannot compute output 'of_other:0' of a TF1 Hub module." in str(error)
        assert error.found == "unfed placeholders 'other'"
        assert error.advice == "pass signature=... with one whose inputs feed it: 'both'"
        layer = hub.ModuleLayer(flowing, signature="both", output_key="of_other:0")
        assert float(layer({"x": X, "other": 2.0})) == 3.0

    def test_safe_mode(self, publish):
        """What no signature runs can be named, too."""

        def module_fn():
            x = v1.placeholder(tf.string, [], name="x")
            tf.io.read_file(x, name="read")
            hub.add_signature(inputs=x, outputs=tf.strings.join([x, x], name="y"))

        path = publish(module_fn)
        assert hub.ModuleLayer(path, output_key="y:0")("a").numpy() == b"aa"
        with pytest.raises(hub.UnsafeModuleError, match="ReadFile"):
            hub.ModuleLayer(path, output_key="read:0")
        trusting = hub.ModuleLayer(path, output_key="read:0", trusted_ops=["ReadFile"])
        assert trusting(f"{path}/tfhub_module.pb").numpy() == b"\x08\x03"


class TestInKeras:
    def test_saved_and_restored(self, tmp_path):
        golden = Golden("mlp_bn")
        x = golden.inputs(0)
        keys = ["Relu:0", "layer1/BiasAdd:0"]
        inputs = keras.Input((51,))
        one = hub.ModuleLayer(golden.path, output_key=keys[0], trainable=True)(inputs)
        several = hub.ModuleLayer(golden.path, output_key=keys)(inputs)
        model = keras.Model(inputs, [one, *several.values()])
        assert [tensor.shape for tensor in model.outputs] == [(None, 32)] * 3
        model.compile(keras.optimizers.SGD(0.1), ["mse"] * 3)
        model.fit(x, [np.zeros((len(x), 32))] * 3, verbose=0)
        expected = model.predict(x, verbose=0)
        model.save(tmp_path / "m.keras")
        loaded = keras.models.load_model(tmp_path / "m.keras")
        clone = keras.Model.from_config(model.get_config())
        clone.set_weights(model.get_weights())
        for each in (loaded, clone):
            for ours, theirs in zip(each.predict(x, verbose=0), expected, strict=True):
                np.testing.assert_allclose(ours, theirs, atol=1e-6)

    @pytest.mark.parametrize(("name", "key"), [("convnet", "conv1/Conv2D:0"), ("ref_vars", "w:0")])
    def test_without_the_module(self, name, key, tmp_path, monkeypatch):
        """A config knows dtype and shape of the tensor, an archive has the graph."""
        golden = Golden(name)
        x = golden.inputs(0)[:4]
        shutil.copytree(golden.path, tmp_path / "module")
        layer = hub.ModuleLayer(tmp_path / "module", output_key=key)
        model = keras.Sequential([keras.Input(x.shape[1:]), layer])
        expected = model(x).numpy()
        model.save(tmp_path / "m.keras")
        shutil.rmtree(tmp_path / "module")
        monkeypatch.setattr(tf1_saving, "_LIVE", {})
        facts_only = hub.ModuleLayer.from_config(layer.get_config())
        declared = facts_only._content.output_specs({})
        assert (declared.dtype, declared.shape.rank) == (tf.float32, expected.ndim)
        assert declared.shape.is_compatible_with(expected.shape)
        loaded = keras.models.load_model(tmp_path / "m.keras")
        np.testing.assert_allclose(loaded(x), expected, atol=1e-6)

    def test_update_ops_and_mixed_precision(self):
        golden = Golden("mlp_bn")
        layer = hub.ModuleLayer(
            golden.path, output_key="Relu:0", trainable=True, dtype="mixed_float16"
        )
        layer.build()
        before = layer.variable_map["bn/moving_mean"].numpy().copy()
        assert layer(golden.inputs(0), training=True).dtype == tf.float16
        assert not np.allclose(before, layer.variable_map["bn/moving_mean"].numpy())

    def test_exported_and_compiled(self, tmp_path):
        golden = Golden("bert_tiny")
        inputs = golden.inputs(0)
        layer = hub.ModuleLayer(golden.path, signature="tokens", output_key=ATTENTION)
        symbols = {n: keras.Input(v.shape[1:], dtype=v.dtype, name=n) for n, v in inputs.items()}
        model = keras.Model(symbols, layer(symbols))
        expected = layer(inputs)
        np.testing.assert_allclose(tf.reduce_sum(expected, -1), np.ones(expected.shape[:-1]), 1e-5)
        compiled = tf.function(lambda given: layer(given), jit_compile=True)
        np.testing.assert_allclose(compiled(inputs), expected, atol=1e-5)
        model.export(tmp_path / "exported", verbose=False)
        exported = tf.saved_model.load(tmp_path / "exported")
        served = exported.serve({n: tf.constant(v) for n, v in inputs.items()})
        np.testing.assert_allclose(served, expected, atol=1e-5)


class TestLoad:
    def test_call(self, tmp_path):
        spec, inputs, call = chosen("bert_tiny")
        expected, _ = in_session(spec, inputs, [ATTENTION, LAYER], **call)
        module = hub.load(spec, signature="tokens", output_key=ATTENTION)
        given = {name: tf.constant(value) for name, value in inputs.items()}
        assert_values({ATTENTION: module(given)}, {ATTENTION: expected[ATTENTION]})
        assert "pooled_output" in module.signatures["tokens"](**given)
        tf.saved_model.save(module, tmp_path / "saved")
        again = tf.saved_model.load(tmp_path / "saved")
        np.testing.assert_allclose(again(given, training=False), expected[ATTENTION], atol=1e-5)
        both = hub.load(spec, signature="tokens", output_key=[ATTENTION, LAYER])
        assert_values(both(given), expected)

    def test_refused(self, tmp_path):
        path = Golden("mlp_bn").path
        with pytest.raises(hub.SignatureError, match="its graph no tensor of that name"):
            hub.load(path, output_key="Relu_7:0")
        with tf.Graph().as_default(), pytest.raises(hub.GraphModeError, match="no output_key"):
            hub.load(path, output_key="Relu:0")
        tf.saved_model.save(hub.load(path), tmp_path / "tf2")
        with pytest.raises(hub.SignatureError, match="inner tensors go by name in a TF1 Hub"):
            hub.load(tmp_path / "tf2", output_key="Relu:0")
        layer = hub.ModuleLayer(tmp_path / "tf2", output_key="Relu:0")
        with pytest.raises(hub.SignatureError, match="no output 'Relu:0'") as caught:
            layer(np.zeros((1, 51), np.float32))
        assert caught.value.advice.endswith("inner tensors go by name in a TF1 Hub module alone")

    def test_a_tf1_saved_model(self, tmp_path):
        with tf.Graph().as_default(), v1.Session() as session:
            x = v1.placeholder(tf.float32, [], name="x")
            hidden = tf.multiply(x, v1.get_variable("v", initializer=2.0), name="hidden")
            session.run(v1.global_variables_initializer())
            v1.saved_model.simple_save(session, str(tmp_path / "saved"), {"x": x}, {"y": hidden})
        assert float(hub.load(tmp_path / "saved", output_key="hidden:0")(tf.constant(3.0))) == 6.0
