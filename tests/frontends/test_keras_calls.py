"""What a module gives where Keras code calls it: gradients, datasets, threads, masks."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.golden import Golden
from helpers.twins import X, Y, module, native, spec
from hub_keras_bridge.compat import direct_calls
from hub_keras_bridge.running import runtime

v1 = tf.compat.v1
WORDS = np.array(["hello world", "", "the cat", " sat on", "hello the cat", "w1 w2"], object)


@pytest.fixture
def text():
    """A frozen layer that has not been called yet."""
    return hub.ModuleLayer(Golden("text_embed").path)


@pytest.fixture
def features():
    """What it gives, from a layer of its own."""
    return hub.ModuleLayer(Golden("text_embed").path)(WORDS).numpy()


# --- derivatives: each takes a layer and its input ---


def gradient(layer, x, **options):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(layer(x, **options) ** 2 * x[:, :3])
    return tape.gradient(y, [x, *layer.trainable_weights])


def gradient_of_a_training_call(layer, x):
    return gradient(layer, x, training=True)


def gradient_penalty(layer, x):
    """The gradient of a gradient's length, to inputs and to weights."""
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = tf.reduce_sum(layer(x) ** 2)
        length = tf.reduce_sum(inner.gradient(y, x) ** 2)
    wanted = [x, *layer.trainable_weights]
    return outer.gradient(length, wanted, unconnected_gradients="zero")


def hessian_of_inputs(layer, x):
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = tf.reduce_sum(layer(x) ** 3)
        slope = inner.gradient(y, x)
    return outer.batch_jacobian(slope, x)


def jacobians(layer, x):
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = layer(x)
    return tape.batch_jacobian(y, x), tape.jacobian(y, layer.trainable_weights)


def forward_mode(layer, x):
    with tf.autodiff.ForwardAccumulator(x, tf.cos(x)) as accumulator:
        y = layer(x)
    return accumulator.jvp(y)


def recomputed(layer, x):
    run = tf.recompute_grad(lambda x: layer(x))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(run(x) ** 2)
    return tape.gradient(y, [x, *layer.trainable_weights])


def of_weights_that_are_watched(layer, x):
    """Frozen ones and moving averages too."""
    weights = [weight.value for weight in layer.weights]
    with tf.GradientTape() as tape:
        tape.watch(weights)
        y = tf.reduce_sum(layer(x) ** 2)
    return tape.gradient(y, weights)


def of_each_row(layer, x):
    return tf.vectorized_map(lambda row: layer(row[None])[0], x)


DERIVATIVES = [
    gradient,
    gradient_of_a_training_call,
    gradient_penalty,
    hessian_of_inputs,
    jacobians,
    forward_mode,
    recomputed,
    of_weights_that_are_watched,
    of_each_row,
]


@pytest.mark.parametrize("traced", [False, True], ids=["eager", "traced"])
@pytest.mark.parametrize("trainable", [False, True], ids=["frozen", "trainable"])
@pytest.mark.parametrize("derive", DERIVATIVES)
def test_derivatives(derive, trainable, traced):
    def derived(make):
        layer, x = make(trainable), tf.constant(X)
        layer(x)
        run = tf.function(lambda x: derive(layer, x)) if traced else lambda x: derive(layer, x)
        return tf.nest.flatten(run(x))

    for found, expected in zip(derived(module), derived(native), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-5)
        assert np.abs(expected).max() > 1e-3 or derive is gradient_penalty


@pytest.mark.parametrize("traced", [False, True], ids=["eager", "traced"])
def test_second_order_through_a_v1_loop(traced):
    golden = Golden("rnn")
    layer, inputs = hub.ModuleLayer(golden.path), golden.inputs(0)
    x = tf.constant(inputs["x"])

    def penalty(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(layer({**inputs, "x": x}) ** 2)
        return tf.reduce_sum(tape.gradient(y, x) ** 2)

    penalty = tf.function(penalty) if traced else penalty
    with tf.GradientTape() as tape:
        tape.watch(x)
        length = penalty(x)
    along = np.sin(np.arange(tf.size(x), dtype=np.float32)).reshape(x.shape)
    slope = float(tf.reduce_sum(tape.gradient(length, x) * along))
    differences = float(penalty(x + 0.01 * along) - penalty(x - 0.01 * along)) / 0.02
    assert abs(slope) > 0.01
    np.testing.assert_allclose(slope, differences, rtol=5e-3)


class TestDatasets:
    def test_strings_in_parallel(self, text, features):
        rows = tf.data.Dataset.from_tensor_slices(WORDS).batch(2)
        found = list(rows.map(text, num_parallel_calls=4))
        np.testing.assert_array_equal(np.concatenate(found), features)

    def test_in_what_feeds_fit(self, text, features):
        def fit(rows):
            keras.utils.set_random_seed(0)
            model = keras.Sequential([keras.layers.Dense(2)])
            model.compile("sgd", "mse")
            return model.fit(rows.repeat(2), verbose=0).history["loss"][0]

        raw = tf.data.Dataset.from_tensor_slices((WORDS, Y[:6])).batch(4)
        embedded = tf.data.Dataset.from_tensor_slices((features, Y[:6])).batch(4)
        mapped = raw.map(lambda words, y: (text(words), y), num_parallel_calls=tf.data.AUTOTUNE)
        np.testing.assert_allclose(fit(mapped), fit(embedded), rtol=1e-6)

    def test_autograph_leaves_the_layer_alone(self, text, caplog):
        """What TensorFlow cannot transform it warns of, even if it then runs."""
        logging.getLogger("tensorflow").propagate = True
        rows = tf.data.Dataset.from_tensor_slices(WORDS).batch(2)
        with caplog.at_level(logging.WARNING):
            list(rows.map(text))
            layer = module()

            @tf.function
            def build_and_call(x):
                layer.build()
                return layer.call(x, training=True) + tf.add_n(layer.losses)

            build_and_call(tf.constant(X))
        assert [r.getMessage() for r in caplog.records if "AutoGraph" in r.getMessage()] == []


class TestThreads:
    """Sixteen at once, first calls included."""

    def at_once(self, work):
        barrier = threading.Barrier(16)

        def wait_and_work(number):
            barrier.wait()
            return work(number)

        with ThreadPoolExecutor(16) as pool:
            return list(pool.map(wait_and_work, range(16)))

    def test_one_layer(self, text, features):
        for found in self.at_once(lambda _: text(WORDS)):
            np.testing.assert_array_equal(found, features)
        assert len(text.weights) == 3

    def test_one_function_and_functions_of_their_own(self, text, features):
        shared = tf.function(text)
        for found in self.at_once(lambda n: (shared if n % 2 else tf.function(text))(WORDS)):
            np.testing.assert_array_equal(found, features)

    def test_a_layer_each(self, features):
        def load_and_call(_):
            return hub.ModuleLayer(Golden("text_embed").path)(WORDS)

        for found in self.at_once(load_and_call):
            np.testing.assert_array_equal(found, features)

    def test_training_inference_and_losses_mixed(self):
        def module_fn(training):
            x = v1.placeholder(tf.float32, [None])
            w = v1.get_variable("w", initializer=2.0)
            steps = v1.get_variable("steps", initializer=0, trainable=False)
            if training:
                v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, steps.assign_add(1))
            v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, 3 * w)
            hub.add_signature(inputs=x, outputs=x * w + (100 if training else 0))

        variants = [((), {"training": False}), ({"train"}, {"training": True})]
        layer = hub.ModuleLayer(hub.create_module_spec(module_fn, variants), trainable=True)

        def call(number):
            x = tf.constant([float(number)])
            with tf.GradientTape() as tape:
                y = layer(x, training=number % 2 == 1)
                loss = y + sum(layer.losses)
            return float(y[0]), float(tape.gradient(loss, layer.trainable_weights[0]))

        expected = [(2.0 * n + 100 * (n % 2), n + 3.0) for n in range(16)]
        assert self.at_once(call) == expected
        assert layer.variable_map["steps"].numpy() == 8


class TestTracing:
    def test_any_batch_size_runs_one_import(self, monkeypatch):
        imports = []
        original = runtime.import_plan
        monkeypatch.setattr(
            runtime, "import_plan", lambda *args: imports.append(args) or original(*args)
        )
        layer = module()
        traced = tf.function(layer, reduce_retracing=True)
        for rows in (1, 2, 3, 10):
            layer(X[:rows])
            traced(tf.constant(X[:rows]))
        assert len(imports) == 1
        for rows in (1, 2, 3, 10):
            layer(X[:rows], training=True)
        assert len(imports) == 2

    def test_as_often_as_native_layers(self):
        class Count(keras.layers.Layer):
            traces = 0

            def call(self, x):
                self.traces += 1
                return x

        def traces(make):
            model = keras.Sequential([keras.Input((4,)), Count(), make(), keras.layers.Dense(2)])
            model.compile("sgd", "mse")
            for rows in (4, 7, 1, 5, 4, 6):
                model.train_on_batch(X[:rows], Y[:rows])
            for batch_size in (4, 3):
                model.fit(X, Y, batch_size=batch_size, verbose=0)
            model.predict(X, batch_size=3, verbose=0)
            return model.layers[0].traces

        assert traces(module) == traces(native) == 6


class TestDicts:
    def test_in_and_out(self):
        golden = Golden("multi_io")
        layer = hub.ModuleLayer(golden.path, signature="fruit_to_pet", as_dict=True)
        symbols = {k: keras.Input((n,), name=k) for k, n in (("apples", 4), ("oranges", 6))}
        model = keras.Model(symbols, layer(symbols))
        found = model.predict(golden.inputs(0), verbose=0)
        assert found.keys() == golden.outputs(0).keys() == {"cats", "dogs"}
        assert found["dogs"].dtype == np.int64
        np.testing.assert_allclose(found["cats"], golden.outputs(0)["cats"], atol=1e-6)
        np.testing.assert_array_equal(found["dogs"], golden.outputs(0)["dogs"])

    @pytest.mark.parametrize("wrap", [tf.constant, lambda x: keras.Input((4,), name="apples")])
    def test_of_tensors_and_other_values(self, wrap):
        layer = hub.ModuleLayer(Golden("multi_io").path)
        apples, oranges = np.float32([[1, 2, 3, 4]]), [[1, 0, 0, 0, 0, 2.0]]
        first = wrap(apples)
        found = layer({"apples": first, "oranges": oranges})
        if isinstance(found, keras.KerasTensor):
            found = keras.Model(first, found)(apples)
        expected = layer({"apples": apples, "oranges": np.float32(oranges)})
        np.testing.assert_array_equal(found, expected)

    def test_of_a_tensor_and_what_cannot_be_one(self):
        layer = hub.ModuleLayer(Golden("multi_io").path)
        with pytest.raises(hub.InputError, match="Cannot feed input 'oranges'"):
            layer({"apples": tf.zeros([1, 4]), "oranges": [["six"]]})
        with pytest.raises(hub.InputError, match="missing 'oranges'; unknown 'pears'"):
            layer({"apples": tf.zeros([1, 4]), "pears": np.zeros([1, 6])})

    def test_a_step_of_fit_follows_the_gradient(self):
        golden = Golden("multi_io")
        layer = hub.ModuleLayer(golden.path, signature="fruit_to_pet", as_dict=True, trainable=True)
        symbols = {k: keras.Input((n,), name=k) for k, n in (("apples", 4), ("oranges", 6))}
        model = keras.Model(symbols, layer(symbols))
        inputs, target = golden.inputs(0), np.ones_like(golden.outputs(0)["cats"])
        weight = layer.variable_map["w"]
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((layer(inputs)["cats"] - target) ** 2)
            loss = tf.add_n([loss, *layer.losses])
        expected = weight.numpy() - 0.1 * tape.gradient(loss, weight).numpy()
        model.compile(keras.optimizers.SGD(0.1), {"cats": "mse", "dogs": None})
        data = tf.data.Dataset.from_tensors((inputs, {"cats": target, "dogs": target[:, 0]}))
        found = model.fit(data, verbose=0).history["loss"][0]
        np.testing.assert_allclose(found, loss, rtol=1e-6)
        np.testing.assert_allclose(weight.numpy(), expected, atol=1e-6)

    def test_strings_beside_numbers(self, text, features):
        def make(first, embed):
            keras.utils.set_random_seed(0)
            numbers = keras.Input((4,), name="numbers")
            joined = keras.layers.Concatenate()([embed(first), numbers])
            model = keras.Model({"first": first, "numbers": numbers}, keras.layers.Dense(2)(joined))
            model.compile("sgd", "mse")
            return model

        models = [
            (make(keras.Input((), dtype="string", name="first"), text), tf.constant(WORDS)),
            (make(keras.Input((16,), name="first"), lambda x: x), features),
        ]
        losses, predicted = [], []
        for model, first in models:
            data = {"first": first, "numbers": X[:6]}
            losses.append(model.fit(data, Y[:6], shuffle=False, epochs=2, verbose=0).history)
            predicted.append(model.predict(data, verbose=0))
        np.testing.assert_allclose(losses[0]["loss"], losses[1]["loss"], rtol=1e-6)
        np.testing.assert_allclose(*predicted, atol=1e-6)


class TestSparseAndRaggedModels:
    def test_sparse(self):
        layer = hub.ModuleLayer(Golden("sparse_ragged").path)
        x = keras.Input((9,), sparse=True)
        model = keras.Model(x, layer(x))
        dense = np.eye(3, 9, dtype=np.float32) * 2
        (weight,) = layer.variable_map.values()
        found = model.predict(tf.sparse.from_dense(dense), verbose=0)
        np.testing.assert_allclose(found, dense @ weight.numpy(), atol=1e-6)

    def test_ragged(self):
        layer = hub.ModuleLayer(Golden("sparse_ragged").path, signature="ragged", output_key="sums")
        x = keras.Input((None,), dtype="int64", ragged=True)
        rows = tf.ragged.constant([[1, 2, 3], [], [4]], dtype=tf.int64)
        assert keras.Model(x, layer(x))(rows).numpy().tolist() == [6, 0, 4]


def doubling_fn(shape):
    x = v1.placeholder(tf.float32, shape)
    hub.add_signature(inputs=x, outputs=x * 2)


class TestMasks:
    """A module knows of no masks, and Keras says so; who knows better tells the layer."""

    def doubling(self):
        return hub.ModuleLayer(hub.create_module_spec(lambda: doubling_fn([None, None, 2])))

    def masked(self):
        return keras.layers.Masking()(np.float32([[[0, 0], [1, 2]]]))

    def test_ends_with_a_warning(self):
        with pytest.warns(UserWarning, match="does not support masking"):
            found = self.doubling()(self.masked())
        assert keras.src.backend.get_keras_mask(found) is None

    def test_goes_on_if_the_layer_supports_it(self):
        layer = self.doubling()
        layer.supports_masking = True
        pooled = keras.layers.GlobalAveragePooling1D()(layer(self.masked()))
        assert pooled.numpy().tolist() == [[2.0, 4.0]]


@pytest.fixture
def prepared(monkeypatch):
    """Counts the calls that Keras prepares."""
    calls = []
    through_keras = keras.layers.Layer.__call__

    def count(self, *args, **kwargs):
        calls.append(self)
        return through_keras(self, *args, **kwargs)

    monkeypatch.setattr(keras.layers.Layer, "__call__", count)
    monkeypatch.setattr(direct_calls, "TRIED", [direct_calls._INSTALLED])
    return calls


class Dropping(hub.ModuleLayer):
    """A layer inside must know whether this is a training call."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.drop = keras.layers.Dropout(0.5, seed=0)

    def call(self, inputs, training=None):
        return self.drop(super().call(inputs, training))


class TestPlainCalls:
    """Eager calls of a tensor, which take no longer than the module."""

    @pytest.mark.parametrize("given", [tf.constant, np.asarray])
    @pytest.mark.parametrize("options", [{}, {"training": True}, {"training": False}])
    def test_give_what_other_calls_give(self, prepared, given, options):
        one, other = module(trainable=True), module(trainable=True)
        for layer in (one, other):
            layer(X)
        prepared.clear()
        found = one(given(X), **options)
        assert prepared == []
        expected = other({"default": given(X)}, **options)
        assert prepared == [other]
        np.testing.assert_array_equal(found, expected)
        for ours, theirs in zip(one.weights, other.weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)

    @pytest.mark.parametrize(
        "call",
        [
            lambda layer: layer({"default": X}),
            lambda layer: layer(X.tolist()),
            lambda layer: layer(keras.Input((4,))),
            lambda layer: tf.function(layer)(X),
            lambda layer: keras.Sequential([layer])(X),
        ],
    )
    def test_are_no_others(self, prepared, call):
        layer = module()
        layer(X)
        prepared.clear()
        call(layer)
        assert layer in prepared

    def test_a_mask_is_seen(self):
        masked = TestMasks().masked()
        layer = TestMasks().doubling()
        layer(np.asarray(masked))
        with pytest.warns(UserWarning, match="does not support masking"):
            layer(masked)

    def test_an_activity_regularizer_is_applied(self):
        layer = hub.ModuleLayer(spec(), activity_regularizer=keras.regularizers.L2(0.1))
        found = []
        for inputs in (X, X, {"default": X}):
            layer(inputs)
            found.append([float(loss) for loss in layer.losses])
        # By which number Keras divides it depends on its version.
        assert found[0] == found[1] == found[2]
        assert len(found[0]) == 1
        assert found[0][0] > 0

    def test_losses_are_of_the_last_call(self):
        def module_fn():
            x = v1.placeholder(tf.float32, [None])
            v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, tf.reduce_sum(x))
            hub.add_signature(inputs=x, outputs=x + v1.get_variable("zero", initializer=0.0))

        layer = hub.ModuleLayer(hub.create_module_spec(module_fn), trainable=True)
        for value in (1.0, 2.0, 3.0):
            layer(tf.constant([value]))
            assert [float(loss) for loss in layer.losses] == [value]

    def test_a_layer_inside_knows_of_training(self, prepared):
        layer = Dropping(hub.create_module_spec(lambda: doubling_fn([None, 4])))
        layer(X)
        prepared.clear()
        ones = tf.ones([10, 4])
        assert set(np.unique(layer(ones, training=True))) == {0.0, 4.0}
        assert set(np.unique(layer(ones))) == {2.0}
        assert prepared == [layer.drop] * 2

    def test_in_a_training_loop(self):
        """Gradients and updates as of the same calls by way of Keras."""
        one, other = module(trainable=True), module(trainable=True)
        for layer, inputs in ((one, X), (other, {"default": X})):
            for _ in range(3):
                with tf.GradientTape() as tape:
                    y = layer(inputs, training=True)
                    loss = tf.reduce_sum((y[:, :2] - Y) ** 2) + tf.add_n(layer.losses)
                for weight, slope in zip(
                    layer.trainable_weights,
                    tape.gradient(loss, layer.trainable_weights),
                    strict=True,
                ):
                    weight.assign_sub(0.1 * slope)
        for ours, theirs in zip(one.weights, other.weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)


class TestWeights:
    def test_as_a_native_layers_in_order_and_count(self):
        ours, theirs = module(), native()
        ours.build()
        assert [w.shape for w in ours.weights] == [w.shape for w in theirs.weights]
        assert ours.count_params() == theirs.count_params() == 27
        ours.set_weights([w + i for i, w in enumerate(theirs.get_weights())])
        theirs.set_weights(ours.get_weights())
        np.testing.assert_allclose(ours(X), theirs(X), atol=1e-5)
        assert ours.variable_map["bn/variance"].numpy().tolist() == [6, 6, 6]

    @pytest.mark.parametrize("trainable", [True, False])
    def test_summary(self, trainable):
        def summary(part):
            part.name, head = "part", keras.layers.Dense(2, name="head")
            model = keras.Sequential([keras.Input((4,)), part, head], name="m")
            lines = []
            model.summary(print_fn=lambda line, **_: lines.append(line))
            return " ".join("\n".join(lines).split())

        found = summary(module(trainable))
        assert found.replace("ModuleLayer", "Sequential") == summary(native(trainable))

    def test_saved_and_loaded_into_a_model_of_the_same_kind(self, tmp_path):
        def model():
            x, part = keras.Input((4,)), module()
            return keras.Model(x, part(x) - part(-x) + module()(x))

        tuned, fresh = model(), model()
        tuned.set_weights([w + 0.1 * i for i, w in enumerate(tuned.get_weights())])
        assert np.abs(tuned(X) - fresh(X)).max() > 0.1
        tuned.save_weights(tmp_path / "m.weights.h5")
        fresh.load_weights(tmp_path / "m.weights.h5")
        np.testing.assert_array_equal(fresh(X), tuned(X))
        clone = keras.models.clone_model(tuned)
        assert len(clone.weights) == len(tuned.weights) == 12
        clone.set_weights(tuned.get_weights())
        np.testing.assert_array_equal(clone(X), tuned(X))
