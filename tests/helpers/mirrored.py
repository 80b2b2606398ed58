"""What test_distribute.py runs in a process of its own, which has two CPU devices.

Devices are set up once, before TensorFlow starts.
"""

import functools
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.documents import code_blocks
from helpers.golden import Golden, scale_fn
from hub_keras_bridge.running.replicas import create_as_distributable
from old_code.several_signatures import autoencoder

v1 = tf.compat.v1
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(32, 3)).astype("float32")
Y = RANDOM.normal(size=(32, 1)).astype("float32")
KERNEL = RANDOM.normal(size=(3, 4)).astype("float32")


@pytest.fixture(scope="module")
def strategy():
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def dense_fn():
    """As native_dense(), with a step counter."""
    x = v1.placeholder(tf.float32, [None, 3])
    kernel = v1.get_variable("dense/kernel", initializer=KERNEL)
    bias = v1.get_variable("dense/bias", initializer=np.zeros(4, np.float32))
    steps = v1.get_variable("steps", initializer=0, trainable=False)
    v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, steps.assign_add(1))
    v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, 0.5 * tf.reduce_sum(kernel**2))
    hub.add_signature(inputs=x, outputs=tf.tanh(x @ kernel + bias))


def native_dense():
    return keras.layers.Dense(
        4,
        "tanh",
        kernel_initializer=lambda *_, **__: tf.constant(KERNEL),
        kernel_regularizer=keras.regularizers.L2(0.5),
    )


def norm_fn(training=False, momentum=0.9, epsilon=1e-3):
    """As keras.layers.BatchNormalization(momentum=0.9)."""
    x = v1.placeholder(tf.float32, [None, 3])
    gamma = v1.get_variable("gamma", initializer=np.ones(3, np.float32))
    beta = v1.get_variable("beta", initializer=np.zeros(3, np.float32))
    mean = v1.get_variable("moving_mean", initializer=np.zeros(3, np.float32), trainable=False)
    variance = v1.get_variable("moving_variance", initializer=np.ones(3, "f"), trainable=False)
    used = mean, variance
    if training:
        used = tf.nn.moments(x, [0])
        for moving, value in zip((mean, variance), used, strict=True):
            update = moving.assign_sub((moving - value) * (1 - momentum))
            v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, update)
    hub.add_signature(inputs=x, outputs=tf.nn.batch_normalization(x, *used, beta, gamma, epsilon))


def norm_spec():
    return hub.create_module_spec(norm_fn, [((), {}), ({"train"}, {"training": True})])


def trainable(module_fn):
    return hub.ModuleLayer(hub.create_module_spec(module_fn), trainable=True)


def model_of(layer, **compile_args):
    head = keras.layers.Dense(1, kernel_initializer="ones")
    model = keras.Sequential([keras.Input((3,)), layer, head])
    model.compile(keras.optimizers.Adam(0.05), "mse", **compile_args)
    return model


def fit(model):
    return model.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0).history["loss"]


@pytest.fixture(scope="module")
def runs(strategy):
    """Model and losses by layer, and by strategy or none."""
    return {
        (kind, scope): trained(make, scope)
        for kind, make in (("module", lambda: trainable(dense_fn)), ("native", native_dense))
        for scope in (None, strategy)
    }


def trained(make, strategy=None):
    with (strategy or tf.distribute.get_strategy()).scope():
        model = model_of(make())
    return model, fit(model)


class TestFit:
    def test_as_on_one_device(self, strategy, runs):
        """To 1e-5; where Keras's own layer differs by more, by no more than that."""

        def spread(kind):
            (one, one_losses), (two, two_losses) = runs[kind, None], runs[kind, strategy]
            pairs = [
                (one_losses, two_losses),
                *zip(one.get_weights(), two.get_weights(), strict=True),
            ]
            return max(np.abs(np.subtract(*pair)).max() for pair in pairs)

        assert spread("module") <= spread("native") + 1e-5

    def test_as_a_native_layer(self, strategy, runs):
        """Losses count once: the regularization loss is most of the total here."""
        (ours, losses), (native, native_losses) = runs["module", strategy], runs["native", strategy]
        np.testing.assert_allclose(losses, native_losses, atol=1e-5)
        expected = {tuple(w.shape): w.numpy() for w in native.trainable_variables}
        for weight in ours.trainable_variables:
            np.testing.assert_allclose(weight.numpy(), expected[tuple(weight.shape)], atol=1e-5)
        assert int(ours.layers[0].variable_map["steps"].numpy()) == 12

    def test_evaluate_and_predict(self, strategy, runs):
        (two, _), (native, _) = runs["module", strategy], runs["native", strategy]
        np.testing.assert_allclose(
            two.evaluate(X, Y, batch_size=8, verbose=0),
            native.evaluate(X, Y, batch_size=8, verbose=0),
            rtol=1e-5,
        )
        outside = model_of(trainable(dense_fn))
        outside.set_weights(two.get_weights())
        expected = outside.predict(X, verbose=0)
        np.testing.assert_allclose(two.predict(X, verbose=0), expected, rtol=1e-4, atol=1e-6)

    def test_run_eagerly(self, strategy):
        with strategy.scope():
            eager = model_of(trainable(dense_fn), run_eagerly=True)
            traced = model_of(trainable(dense_fn))
        losses = [m.fit(X[:8], Y[:8], verbose=0).history["loss"] for m in (eager, traced)]
        np.testing.assert_allclose(*losses, rtol=1e-6)
        for pair in zip(eager.get_weights(), traced.get_weights(), strict=True):
            np.testing.assert_allclose(*pair, atol=1e-5)


class TestSharedWeights:
    def test_as_on_one_device(self, strategy):
        """Two signatures of one module; one reduction of gradients for the weights of both."""

        def run(scope):
            with scope.scope():
                spec = hub.create_module_spec(functools.partial(autoencoder, hub))
                decode = hub.ModuleLayer(spec, signature="decode", trainable=True)
                encode = decode.with_signature("encode")
                model = keras.Sequential([keras.Input((4,)), encode, decode])
                model.compile(keras.optimizers.SGD(0.1), "mse")
            x = np.concatenate([X, X[:, :1]], 1)
            losses = model.fit(x, x, batch_size=8, shuffle=False, verbose=0).history["loss"]
            assert len(model.weights) == 2
            return [losses, *model.get_weights()]

        for pair in zip(run(tf.distribute.get_strategy()), run(strategy), strict=True):
            np.testing.assert_allclose(*pair, rtol=1e-5, atol=1e-6)


class TestUpdates:
    def moving(self, layer):
        if isinstance(layer, hub.ModuleLayer):
            names = layer.variable_map
            return [names["moving_mean"], names["moving_variance"]]
        return [layer.moving_mean, layer.moving_variance]

    def test_as_batch_normalization(self, strategy, tmp_path):
        ours, _ = trained(lambda: hub.ModuleLayer(norm_spec(), trainable=True), strategy)
        native, _ = trained(lambda: keras.layers.BatchNormalization(momentum=0.9), strategy)
        for one, other in self.pairs(ours, native):
            np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-5)
            for copies in zip(one._value.values, other._value.values, strict=True):
                np.testing.assert_allclose(*copies, rtol=1e-5)
        self.check_saving(ours, strategy, tmp_path)

    def check_saving(self, model, strategy, tmp_path):
        model.save(tmp_path / "m.keras")
        model.save_weights(tmp_path / "m.weights.h5")
        model.layers[0].export_module(tmp_path / "module")
        outside = keras.models.load_model(tmp_path / "m.keras")
        expected = outside.predict(X, verbose=0)
        with strategy.scope():
            inside = keras.models.load_model(tmp_path / "m.keras")
            again = model_of(hub.ModuleLayer(norm_spec(), trainable=True))
        again.load_weights(tmp_path / "m.weights.h5")
        for restored in (outside, inside, again):
            for one, other in self.pairs(model, restored):
                np.testing.assert_array_equal(one.numpy(), other.numpy())
            np.testing.assert_allclose(restored.predict(X, verbose=0), expected, rtol=1e-4)
        exported = hub.ModuleLayer(tmp_path / "module")
        np.testing.assert_allclose(exported(X), outside.layers[0](X), rtol=1e-5)

    def pairs(self, one, other):
        return zip(self.moving(one.layers[0]), self.moving(other.layers[0]), strict=True)

    def test_averaged_where_the_aggregation_says_so(self, strategy):
        """As in those versions of Keras that make weights with the aggregation MEAN."""

        def averaging(create, **kwargs):
            if kwargs["dtype"] == "float32":
                kwargs["aggregation"] = tf.VariableAggregation.MEAN
            return create(**kwargs)

        def summing_fn():
            x = v1.placeholder(tf.float32, [None, 3])
            total = v1.get_variable("total", initializer=0.0, trainable=False)
            v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, total.assign_add(tf.reduce_sum(x)))
            hub.add_signature(inputs=x, outputs=x * v1.get_variable("w", initializer=1.0))

        with strategy.scope(), tf.variable_creator_scope(averaging):
            layer = trainable(summing_fn)
            layer.build()

        @tf.function
        def step(x):
            return strategy.run(lambda part: layer(part, training=True), args=(x,))

        batches = tf.data.Dataset.from_tensor_slices(X[:20]).batch(10)
        for batch in strategy.experimental_distribute_dataset(batches):
            step(batch)
        copies = [copy.numpy() for copy in layer.variable_map["total"]._value.values]
        np.testing.assert_allclose(copies, X[:20].sum() / 2, rtol=1e-5)

    def test_whole_numbers_are_not_averaged(self):
        def aggregation(dtype):
            return create_as_distributable(
                lambda **kwargs: kwargs["aggregation"],
                aggregation=tf.VariableAggregation.MEAN,
                dtype=dtype,
            )

        assert aggregation("int64") == tf.VariableAggregation.ONLY_FIRST_REPLICA
        assert aggregation(tf.float32) == tf.VariableAggregation.MEAN


class TestOutsideOfTheScope:
    def test_training_is_refused_when_the_model_is_made(self, strategy):
        layer = trainable(dense_fn)
        layer.build()
        with strategy.scope(), pytest.raises(hub.StrategyError) as caught:
            model_of(layer)
        assert "under a tf.distribute strategy" in str(caught.value)
        assert "in the scope of this MirroredStrategy" in str(caught.value)
        assert "'dense.bias:0', 'dense.kernel:0'" in str(caught.value)
        assert "`with strategy.scope():`" in str(caught.value)
        with pytest.raises(hub.StrategyError, match="scope of this MirroredStrategy"):
            strategy.run(lambda: layer(X, training=True))

    def test_inference_works(self, strategy):
        layer = hub.ModuleLayer(hub.create_module_spec(dense_fn))
        features = layer(X)
        with strategy.scope():
            model = model_of(layer)
        fit(model)
        predicted = model.predict(X, batch_size=8, verbose=0)
        np.testing.assert_allclose(predicted, model.layers[1](features), rtol=1e-4, atol=1e-6)


def test_a_tf2_saved_model(strategy, tmp_path):
    """Trains as on one device; saved, loaded under the strategy, and trained on."""
    tf.saved_model.save(hub.load(hub.create_module_spec(dense_fn)), tmp_path / "tf2")

    def make():
        return hub.ModuleLayer(tmp_path / "tf2", trainable=True)

    (one, one_losses), (two, two_losses) = trained(make), trained(make, strategy)
    np.testing.assert_allclose(one_losses, two_losses, atol=1e-5)
    two.save(tmp_path / "m.keras")
    with strategy.scope(), pytest.raises(hub.StrategyError, match="do not belong to"):
        model_of(one.layers[0])
    shutil.rmtree(tmp_path / "tf2")
    with strategy.scope():
        again = keras.models.load_model(tmp_path / "m.keras")
    for model in (one, two, again):
        fit(model)
    for other in (two, again):
        for pair in zip(one.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_allclose(*pair, atol=1e-5)


def gradients(strategy, layer, batch):
    """Of the sum of the outputs, per replica."""

    @tf.function
    def run(x):
        def replica(part):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(layer(part, training=True))
            return tf.convert_to_tensor(tape.gradient(loss, layer.trainable_variables)[0])

        return strategy.run(replica, args=(x,))

    batches = tf.data.Dataset.from_tensor_slices(batch).batch(len(batch))
    (distributed,) = strategy.experimental_distribute_dataset(batches)
    return [part.numpy() for part in strategy.experimental_local_results(run(distributed))]


def test_custom_loop_and_a_savedmodel(strategy, tmp_path):
    with strategy.scope():
        layer = trainable(scale_fn)
        layer.build()
    x = np.float32([[1, 2], [3, 4], [5, 6], [7, 8]])
    assert np.array(gradients(strategy, layer, x)).tolist() == [[4, 6], [12, 14]]
    model = keras.Sequential([keras.Input((2,)), layer])
    model.export(tmp_path / "exported")
    exported = tf.saved_model.load(tmp_path / "exported")
    np.testing.assert_allclose(exported.serve(x), 3 * x)


def test_a_checkpoint_of_a_tf1_program(strategy, tmp_path):
    """All copies of a variable get its value, before the model is trained and after."""
    with tf.Graph().as_default(), v1.Session() as session:
        module = hub.Module(hub.create_module_spec(dense_fn))
        session.run(v1.global_variables_initializer())
        module.variable_map["dense/kernel"].load(KERNEL + 1, session)
        prefix = v1.train.Saver().save(session, str(tmp_path / "trained"))
    with strategy.scope():
        layer = hub.ModuleLayer(hub.create_module_spec(dense_fn), trainable=True)
        layer.load_checkpoint(prefix)
        model = keras.Sequential([keras.Input((3,)), layer, keras.layers.Dense(1)])
        model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    kernel = layer.variable_map["dense/kernel"].value
    assert np.abs(kernel.numpy() - KERNEL).mean() > 0.9
    layer.load_checkpoint(prefix)
    for copy in strategy.experimental_local_results(kernel):
        np.testing.assert_array_equal(copy, KERNEL + 1)
    model.fit(X, Y, verbose=0)


def test_strings_and_tables(strategy):
    golden = Golden("text_embed")
    outside = hub.ModuleLayer(golden.path, trainable=True)
    with strategy.scope():
        layer = hub.ModuleLayer(golden.path, trainable=True)
        model = keras.Sequential([layer])
    words = tf.constant(["the cat", "hello", "hello world", "unheard of"])
    predicted = model.predict(words, batch_size=4, verbose=0)
    np.testing.assert_allclose(predicted, outside(words), rtol=1e-5)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(outside(words, training=True))
    expected = tf.convert_to_tensor(tape.gradient(loss, outside.trainable_variables)[0])
    np.testing.assert_allclose(sum(gradients(strategy, layer, words)), expected, rtol=1e-5)


def ids_fn():
    ids = v1.placeholder(tf.int32, [None, 2])
    table = v1.get_variable("table", initializer=KERNEL)
    hub.add_signature(inputs={"ids": ids}, outputs=tf.reduce_mean(tf.gather(table, ids), 1))


def test_inputs_of_another_dtype(strategy):
    """As on one device; each replica looks at its part."""
    ids = RANDOM.integers(0, 3, size=(32, 2))

    def run(dtype, scope):
        with scope.scope():
            x = keras.Input((2,), dtype=dtype)
            head = keras.layers.Dense(1, kernel_initializer="ones")
            model = keras.Model(x, head(trainable(ids_fn)(x)))
            model.compile(keras.optimizers.SGD(0.1), "mse")
        data = tf.data.Dataset.from_tensor_slices((tf.cast(ids, dtype), Y)).batch(8)
        return model, model.fit(data, verbose=0, epochs=2).history["loss"]

    _, expected = run("int32", tf.distribute.get_strategy())
    model, losses = run("int64", strategy)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    too_large = tf.data.Dataset.from_tensors((ids[:8] + 2**40, Y[:8]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="which int32 does not hold"):
        model.fit(too_large, verbose=0)


def test_documented_fit(tmp_path):
    code = code_blocks("docs/distribute.md", "python")[0]
    hub.ModuleLayer(hub.create_module_spec(dense_fn)).export_module(tmp_path / "module")
    names = {"handle": tmp_path / "module", "x": X, "y": Y, "path": tmp_path / "m.keras"}
    exec(code, names)
    assert names["strategy"].num_replicas_in_sync == 2
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert int(loaded.layers[0].variable_map["steps"].numpy()) == 12
