"""load: the reusable SavedModel interface, and what TensorFlow makes of it."""

import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_hub
import tf_keras

import hub_keras_bridge as hub
from helpers.comparing import assert_same
from helpers.golden import Golden, golden_names

v1 = tf.compat.v1


def save(module, folder, **kwargs):
    path = str(folder)
    tf.saved_model.save(module, path, **kwargs)
    return path


def convert(handle, folder, *args, **kwargs):
    """What becomes of a module that is loaded, saved, and loaded by TensorFlow."""
    return tf.saved_model.load(save(hub.load(handle, *args, **kwargs), folder))


def in_another_process(code, *arguments):
    """Runs code in a process that cannot have this package; returns its output."""
    guard = "import sys; sys.modules['hub_keras_bridge'] = None\n"
    done = subprocess.run(
        [sys.executable, "-c", guard + textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def as_tensors(inputs):
    """A bare tensor where there is one input, as in a converted module."""
    if isinstance(inputs, dict) and len(inputs) == 1:
        (inputs,) = inputs.values()
    return tf.nest.map_structure(tf.constant, inputs)


class TestNumbersOfTheOriginalLibrary:
    @pytest.mark.parametrize("name", golden_names("apply"))
    def test_apply(self, name, tmp_path):
        golden = Golden(name)
        for call in golden.calls():
            entry = golden.oracle["apply"][call]
            module = hub.load(golden.path, entry["tags"], signature=entry["signature"])
            saved = save(module, tmp_path / str(call), signatures=module.signatures)
            converted = tf.saved_model.load(saved)
            expected = golden.outputs(call)
            assert converted.signatures.keys() == set(module.signatures)
            inputs = golden.inputs(call)
            for found in (module(inputs), converted(as_tensors(inputs))):
                for key, value in (
                    found if isinstance(found, dict) else {"default": found}
                ).items():
                    assert_same(value, expected[key])
            by_name = (
                inputs if isinstance(inputs, dict) else {next(iter(self.names(module))): inputs}
            )
            signature = converted.signatures[entry["signature"] or "default"]
            found = signature(**{key: tf.constant(value) for key, value in by_name.items()})
            assert found.keys() == expected.keys()
            for key, value in found.items():
                assert_same(value, expected[key])

    @staticmethod
    def names(module):
        return module.signatures["default"].structured_input_signature[1]

    @pytest.mark.filterwarnings("ignore:Gradients do not exist")
    @pytest.mark.parametrize("name", golden_names("tune"))
    def test_tune_in_keras_2(self, name, tmp_path):
        """KerasLayer of tensorflow_hub fine-tunes what load and save make."""
        golden = Golden(name)
        path = save(hub.load(golden.path, training_tags=golden.tune["tags"]), tmp_path / "tf2")
        layer = tensorflow_hub.KerasLayer(path, trainable=True)
        losses, regularization = tune(layer, golden)

        assert len(layer.losses) == golden.tune["regularization_losses"]
        np.testing.assert_allclose(losses, golden.arrays["tune.losses"], rtol=0, atol=2e-5)
        np.testing.assert_allclose(regularization, golden.arrays["tune.reg"], rtol=0, atol=2e-5)
        spec, expected = hub.load_module_spec(golden.path), golden.tuned_variables()
        found = {}
        for variable in layer.resolved_object.variables:
            (facts,) = [f for f in spec.variables if f"{f.node}:0" == variable.name]
            found.setdefault(facts.name, []).append(variable.numpy())
        assert found.keys() == expected.keys()
        for key, slices in found.items():
            joined = np.concatenate(slices) if len(slices) > 1 else slices[0]
            np.testing.assert_allclose(joined, expected[key], rtol=0, atol=1e-5)
        first_inputs, _ = next(golden.batches())
        assert_same(layer(as_tensors(first_inputs)), golden.arrays["tune.eval"])

    def test_frozen_in_keras_2(self, tmp_path):
        golden = Golden("mlp_bn")
        path = save(hub.load(golden.path), tmp_path / "tf2")
        layer = tensorflow_hub.KerasLayer(path, trainable=False)
        inputs = golden.inputs(0)
        assert_same(layer(tf.constant(inputs), training=True), golden.outputs(0)["default"])
        assert sum(layer.losses) == 0.0


def tune(layer, golden):
    """Trains in Keras 2 as the oracle did; returns losses and regularization per step."""
    inputs, _ = next(golden.batches())
    symbols = tf.nest.map_structure(
        lambda x: tf_keras.Input(x.shape[1:], dtype=tf.constant(x).dtype), as_tensors(inputs)
    )
    model = tf_keras.Model(symbols, layer(symbols))
    model.compile(tf_keras.optimizers.SGD(golden.tune["lr"]), "mse")
    losses, regularization = [], []
    for inputs, targets in golden.batches():
        regularization.append(float(sum(layer.losses, 0.0)))
        history = model.fit(as_tensors(inputs), targets, batch_size=len(targets), verbose=0)
        losses.append(history.history["loss"][0])
    return losses, regularization


@pytest.fixture(scope="module")
def orphan(tmp_path_factory):
    """A converted module with a vocabulary, after the module is gone."""
    folder = tmp_path_factory.mktemp("alone")
    golden = Golden("text_embed")
    shutil.copytree(golden.path, folder / "module")
    path = save(hub.load(folder / "module"), folder / "tf2")
    shutil.rmtree(folder / "module")
    np.save(folder / "inputs.npy", golden.inputs(0).astype(str))
    return folder, path, golden.outputs(0)["default"]


class TestStandsAlone:
    """Without the module, in a process without this package."""

    def test_loads_in_tensorflow_2(self, orphan):
        folder, path, expected = orphan
        in_another_process(
            """
            import numpy as np, tensorflow as tf
            path, folder = sys.argv[1:]
            module = tf.saved_model.load(path)
            found = module(tf.constant(np.load(folder + "/inputs.npy").tolist()))
            np.save(folder + "/tf2.npy", found)
            """,
            path,
            str(folder),
        )
        assert_same(np.load(folder / "tf2.npy"), expected)

    def test_loads_in_a_session_of_tensorflow_1(self, orphan):
        """As TensorFlow Serving does: by tag and signature, tables by the init op."""
        folder, path, expected = orphan
        in_another_process(
            """
            import numpy as np, tensorflow as tf
            path, folder = sys.argv[1:]
            with tf.Graph().as_default(), tf.compat.v1.Session() as session:
                loaded = tf.compat.v1.saved_model.load(session, ["serve"], path)
                signature = loaded.signature_def["serving_default"]
                (fed,) = signature.inputs.values()
                values = np.load(folder + "/inputs.npy").tolist()
                found = session.run(signature.outputs["default"].name, {fed.name: values})
            np.save(folder + "/tf1.npy", found)
            """,
            path,
            str(folder),
        )
        assert_same(np.load(folder / "tf1.npy"), expected)

    def test_saves_again(self, tmp_path):
        golden = Golden("text_embed")
        convert(golden.path, tmp_path / "once")
        moved = shutil.move(tmp_path / "once", tmp_path / "moved")
        again = save(tf.saved_model.load(str(moved)), tmp_path / "again")
        shutil.rmtree(moved)
        found = tf.saved_model.load(again)(tf.constant(golden.inputs(0)))
        assert_same(found, golden.outputs(0)["default"])


def dropping_fn(training):
    """A weight, and a mean that training calls move; the variants differ by 100."""
    x = v1.placeholder(tf.float32, [None, 2])
    scale = v1.get_variable("scale", initializer=[3.0, 5.0])
    mean = v1.get_variable("mean", initializer=[0.0, 0.0], trainable=False)
    if training:
        update = mean.assign_add(tf.reduce_mean(x, axis=0))
        v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, update)
    for factor in (1.0, 10.0):
        loss = factor * tf.reduce_sum(scale)
        v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, loss)
    hub.add_signature(inputs={"x": x}, outputs=x * scale + (100.0 if training else 0.0))
    hub.add_signature("both", {"x": x}, {"twice": 2 * x, "mean": tf.identity(mean)})


@pytest.fixture
def dropping():
    return hub.create_module_spec(
        dropping_fn, [(set(), {"training": False}), ({"train"}, {"training": True})]
    )


class TestInterface:
    @pytest.fixture(params=["live", "converted"])
    def module(self, request, dropping, tmp_path):
        live = hub.load(dropping)
        if request.param == "live":
            return live
        return tf.saved_model.load(save(live, tmp_path / "tf2", signatures=live.signatures))

    def test_variables(self, module):
        assert [v.name for v in module.variables] == ["scale:0", "mean:0"]
        assert [v.name for v in module.trainable_variables] == ["scale:0"]
        assert [v.trainable for v in module.variables] == [True, False]

    @pytest.mark.parametrize("flag", [bool, tf.constant], ids=["bool", "tensor"])
    def test_training(self, module, flag):
        x = tf.constant([[1.0, 2.0]])
        _, mean = module.variables
        assert_same(module(x, training=flag(False)), np.array([[3.0, 10.0]], np.float32))
        assert_same(mean, np.zeros(2, np.float32))
        assert_same(module(x, training=flag(True)), np.array([[103.0, 110.0]], np.float32))
        assert_same(mean, np.array([1.0, 2.0], np.float32))
        assert_same(module(x), np.array([[3.0, 10.0]], np.float32))
        assert_same(mean, np.array([1.0, 2.0], np.float32))

    def test_training_decided_in_a_function(self, module):
        @tf.function
        def call(x, training):
            return module(x, training=training)

        found = call(tf.constant([[1.0, 2.0]]), tf.constant(True))
        assert_same(found, np.array([[103.0, 110.0]], np.float32))
        assert_same(module.variables[1], np.array([1.0, 2.0], np.float32))

    def test_losses_are_of_current_values(self, module):
        assert [float(loss()) for loss in module.regularization_losses] == [8.0, 80.0]
        module.trainable_variables[0].assign([1.0, 1.0])
        assert [float(loss()) for loss in module.regularization_losses] == [2.0, 20.0]

    def test_gradients(self, module):
        x = tf.constant([[1.0, 2.0]])
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(module(x, training=True)) + module.regularization_losses[1]()
        by_scale, by_x = tape.gradient(loss, [module.trainable_variables[0], x])
        assert_same(by_scale, np.array([11.0, 12.0], np.float32))
        assert_same(by_x, np.array([[3.0, 5.0]], np.float32))

    def test_signatures(self, module):
        assert sorted(module.signatures) == ["both", "default"]
        module.variables[1].assign([7.0, 8.0])
        found = module.signatures["both"](x=tf.constant([[1.0, 2.0]]))
        assert sorted(found) == ["mean", "twice"]
        assert_same(found["twice"], np.array([[2.0, 4.0]], np.float32))
        assert_same(found["mean"], np.array([7.0, 8.0], np.float32))


def test_without_a_default_output_all_are_returned(dropping):
    found = hub.load(dropping, signature="both")([[1.0, 2.0]])
    assert sorted(found) == ["mean", "twice"]
    assert_same(found["twice"], np.array([[2.0, 4.0]], np.float32))


def test_takes_what_a_layer_takes(scale_spec):
    module = hub.load(scale_spec)
    expected = np.array([[3.0, 6.0]], np.float32)
    assert_same(module([[1, 2]]), expected)
    assert_same(module(np.array([[1.0, 2.0]])), expected)
    assert_same(module({"default": [[1.0, 2.0]]}), expected)


def test_values_in_place_of_tensors_trace_once(scale_spec):
    module = hub.load(scale_spec)
    before = module.__dict__["__call__"].experimental_get_tracing_count()
    for number in range(3):
        module([[1.0, number]] * (number + 1), training=bool(number % 2))
    assert module.__dict__["__call__"].experimental_get_tracing_count() == before


def test_tags_and_training_tags(dropping):
    x = [[1.0, 2.0]]
    assert_same(hub.load(dropping, {"train"})(x), np.array([[103.0, 110.0]], np.float32))
    fixed = hub.load(dropping, training_tags=())
    assert_same(fixed(x, training=True), np.array([[3.0, 10.0]], np.float32))


def test_sparse_and_ragged(tmp_path):
    path = Golden("sparse_ragged").path
    sparse = tf.SparseTensor([[0, 1], [1, 8]], [2.0, 3.0], [2, 9])
    live, converted = hub.load(path), convert(path, tmp_path / "sparse")
    weight = live.variables[0].numpy()
    expected = np.stack([2 * weight[1], 3 * weight[8]])
    assert_same(live(sparse), expected)
    assert_same(converted(sparse), expected)
    ragged = tf.ragged.constant([[1, 2, 3], [], [4]], dtype=tf.int64)
    converted = convert(path, tmp_path / "ragged", signature="ragged")
    assert converted(ragged).to_list() == hub.load(path, signature="ragged")(ragged).to_list()
    assert [len(row) for row in converted(ragged).to_list()] == [3, 0, 1]


def test_signature_without_inputs(tmp_path):
    def constant_fn():
        hub.add_signature(outputs=v1.get_variable("v", initializer=[1.0, 2.0]) + 1.0)

    spec = hub.create_module_spec(constant_fn)
    assert_same(hub.load(spec)(), np.array([2.0, 3.0], np.float32))
    assert_same(convert(spec, tmp_path / "tf2")({}), np.array([2.0, 3.0], np.float32))


def test_names_that_are_no_arguments(tmp_path):
    """Inputs keep their names in a call; a signature's keywords cannot."""

    def odd_fn():
        inputs = {name: v1.placeholder(tf.float32, []) for name in ("rho$a", "rho_a", "2/x")}
        hub.add_signature(inputs=inputs, outputs={"a$b": inputs["rho$a"] - inputs["rho_a"]})

    module = hub.load(hub.create_module_spec(odd_fn))
    converted = tf.saved_model.load(save(module, tmp_path / "tf2", signatures=module.signatures))
    values = {"rho$a": tf.constant(5.0), "rho_a": tf.constant(3.0), "2/x": tf.constant(0.0)}
    keywords = {"rho_a": tf.constant(5.0), "rho_a_1": tf.constant(3.0), "arg_2_x": tf.constant(0.0)}
    for each in (module, converted):
        assert float(each(values)["a$b"]) == 2.0
        assert float(each.signatures["default"](**keywords)["a$b"]) == 2.0


def test_variants_with_other_input_shapes(tmp_path):
    """They can be told apart by a Python boolean, not by a tensor."""

    def sized_fn(size):
        x = v1.placeholder(tf.float32, [None, size])
        hub.add_signature(inputs=x, outputs=tf.reduce_sum(x, axis=1))

    spec = hub.create_module_spec(sized_fn, [(set(), {"size": 2}), ({"train"}, {"size": 3})])
    converted = convert(spec, tmp_path / "tf2")
    assert_same(converted(tf.ones([1, 2]), training=False), np.array([2.0], np.float32))
    assert_same(converted(tf.ones([1, 3]), training=True), np.array([3.0], np.float32))


def test_partitioned_variable_is_its_slices():
    golden = Golden("text_embed")
    found = [v.name for v in hub.load(golden.path).variables]
    assert found == [f"{facts.node}:0" for facts in hub.load_module_spec(golden.path).variables]
    assert len(found) == 3


class TestErrors:
    def test_wrong_inputs(self, scale_spec):
        with pytest.raises(
            hub.InputError, match=r"(?s)Expected: float32 \[\?, 2\].*shape \[1, 3\]"
        ):
            hub.load(scale_spec)([[1.0, 2.0, 3.0]])

    def test_no_such_signature(self, scale_spec):
        with pytest.raises(hub.SignatureError, match="Expected: one of 'default'"):
            hub.load(scale_spec, signature="serving")
        with pytest.raises(KeyError, match="has no signature 'serving'"):
            hub.load(scale_spec).signatures["serving"]

    def test_no_such_tags(self, scale_spec):
        with pytest.raises(hub.TagsError, match=r"Expected: one of \{\}"):
            hub.load(scale_spec, {"train"})

    def test_unsafe_signature(self):
        def reading_fn():
            x = v1.placeholder(tf.string, [])
            hub.add_signature(inputs=x, outputs=tf.io.read_file(x))
            hub.add_signature("safe", inputs=x, outputs=tf.strings.length(x))

        spec = hub.create_module_spec(reading_fn)
        with pytest.raises(hub.UnsafeModuleError, match="ReadFile"):
            hub.load(spec)
        safe = hub.load(spec, signature="safe")
        assert int(safe("abc")) == 3
        with pytest.raises(hub.UnsafeModuleError, match="ReadFile"):
            safe.signatures["default"]
        assert hub.load(spec, safe_mode=False).signatures.keys() == {"default", "safe"}

    def test_config_alone(self, scale_spec):
        config = hub.ModuleLayer(scale_spec).get_config()
        config["module"]["identity"] = "gone"
        facts = hub.ModuleLayer.from_config(config).spec
        with pytest.raises(hub.HandleError, match="its graphs are not here"):
            hub.load(facts)


def test_losses_that_depend_on_inputs_are_named(caplog):
    def active_fn():
        x = v1.placeholder(tf.float32, [None])
        v = v1.get_variable("v", initializer=2.0)
        v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, tf.reduce_sum(x * v, name="act"))
        v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, tf.square(v))
        hub.add_signature(inputs=x, outputs=x * v)

    with caplog.at_level("WARNING"):
        module = hub.load(hub.create_module_spec(active_fn))
    assert [float(loss()) for loss in module.regularization_losses] == [4.0]
    assert "1 regularization loss(es) that depend on inputs" in caplog.text
    assert "act:0" in caplog.text
