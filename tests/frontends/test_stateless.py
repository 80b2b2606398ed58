"""Calls with values that are given: nothing is written, new values come back."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.golden import Golden, golden_names
from helpers.twins import X, embedding_module, embedding_native, module, native

v1 = tf.compat.v1


def values(weights, shift=0.0):
    """Those of some weights, each number a little more than it is."""
    return [tf.constant(w.numpy() + np.asarray(shift, w.dtype)) for w in weights]


def learn(layer, x, training, wrap=lambda run: run):
    """One call on shifted values: all that comes back, and gradients to the values."""
    trained = values(layer.trainable_variables, 0.25)
    others = values(layer.non_trainable_variables, 0.5)
    return wrap(_learn)(layer, x, training, trained, others)


def _learn(layer, x, training, trained, others):
    with tf.GradientTape() as tape:
        tape.watch([trained, others])
        outputs, new, losses = layer.stateless_call(
            trained, others, x, training=training, return_losses=True
        )
        total = tf.reduce_sum(outputs**2) + tf.add_n(losses or [0.0])
    gradients = tape.gradient(total, [*trained, *others], unconnected_gradients="zero")
    return outputs, new, losses, [tf.convert_to_tensor(each) for each in gradients]


def same(found, expected, **tolerance):
    tf.nest.assert_same_structure(found, expected)
    for one, other in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(one, other, **tolerance)


@pytest.mark.parametrize("traced", [False, True], ids=["eager", "traced"])
@pytest.mark.parametrize("training", [False, True])
def test_as_a_native_layer(training, traced):
    def run(layer):
        layer(X)
        before = layer.get_weights()
        wrap = [tf.function] if traced else []
        found = learn(layer, tf.constant(X), training, *wrap)
        same(layer.get_weights(), before)
        return found

    found, expected = run(module()), run(native())
    same(found, expected, rtol=1e-5, atol=1e-5)
    assert np.abs(expected[1][0] - 0.5).max() > 0.01 or not training
    assert all(np.abs(each).max() > 1e-3 for each in expected[3][:2])


def test_rows_of_a_table():
    ids = np.array([[0, 3], [6, 6]], np.int32)
    one, other = embedding_module(), embedding_native()
    one(ids), other(ids)
    same(learn(one, ids, False)[::3], learn(other, ids, False)[::3], atol=1e-6)


@pytest.mark.parametrize("name", golden_names("tune"))
def test_training_with_values_alone(name):
    """As the original library trained the module, with no variable touched."""
    golden = Golden(name)
    tune = golden.tune
    layer = hub.ModuleLayer(golden.path, trainable=True, training_tags=tune["tags"])
    before = {name: np.array(v) for name, v in by_name(layer).items()}
    trained = [tf.constant(v.numpy()) for v in layer.trainable_variables]
    others = [tf.constant(v.numpy()) for v in layer.non_trainable_variables]
    for step, (inputs, target) in enumerate(golden.batches()):
        with tf.GradientTape() as tape:
            tape.watch(trained)
            outputs, others, losses = layer.stateless_call(
                trained, others, inputs, training=True, return_losses=True
            )
            loss = tf.reduce_mean(tf.square(outputs - target)) + tf.add_n(losses or [0.0])
        np.testing.assert_allclose(loss, golden.arrays["tune.losses"][step], rtol=1e-5)
        gradients = tape.gradient(loss, trained, unconnected_gradients="zero")
        gradients = map(tf.convert_to_tensor, gradients)  # Of a table, rows alone.
        trained = [v - tune["lr"] * g for v, g in zip(trained, gradients, strict=True)]
    same({name: np.array(v) for name, v in by_name(layer).items()}, before)
    for variable, value in zip(layer.trainable_variables, trained, strict=True):
        variable.assign(value)
    for variable, value in zip(layer.non_trainable_variables, others, strict=True):
        variable.assign(value)
    found, expected = by_name(layer), golden.tuned_variables()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6)


def by_name(layer):
    """Name -> value, a partitioned one in one piece."""
    return {
        name: np.concatenate([part.numpy() for part in v]) if isinstance(v, list) else v.numpy()
        for name, v in layer.variable_map.items()
    }


def test_in_a_model_that_calls_the_layer_twice():
    def model(part):
        x = keras.Input((4,))
        return keras.Model(x, part(part(x)[:, :1] * x) + keras.layers.Dense(3, "relu")(x))

    def run(part):
        keras.utils.set_random_seed(0)
        return learn(model(part), tf.constant(X), True)

    same(run(module()), run(native()), rtol=1e-4, atol=1e-4)


def test_a_scope_that_gives_no_values_keeps_the_updates():
    layer = module()
    layer(X)
    before = layer.get_weights()
    with keras.StatelessScope() as scope:
        outputs = layer(X, training=True)
    same(layer.get_weights(), before)
    mean, variance = layer.non_trainable_variables
    new = [scope.get_current_value(v).numpy() for v in (mean, variance)]
    np.testing.assert_array_equal(layer(X, training=True), outputs)
    same(new, [mean.numpy(), variance.numpy()], rtol=1e-6)
    assert np.abs(new[0] - before[4]).max() > 0.005


def in_order_fn():
    """Writes of all kinds, and reads that wait for some of them, or for none."""
    x = v1.placeholder(tf.float32, [])
    v = v1.get_variable("v", initializer=[1.0, 2.0, 3.0], use_resource=True, trainable=False)
    first = v.read_value()
    with tf.control_dependencies([first]):
        one = v.assign(first * x)
    with tf.control_dependencies([one]):
        two = v.assign_add([0.5, 0.25, 0.125])
    with tf.control_dependencies([two]):
        between = v.read_value()
    with tf.control_dependencies([between]):
        three = v.assign_sub([x, x, x])
    with tf.control_dependencies([three]):
        four = v.scatter_add(tf.IndexedSlices([1.0, 10.0, 100.0], [0, 2, 2]))
    with tf.control_dependencies([four]):
        five = v.scatter_update(tf.IndexedSlices(-1.0, 1))
    with tf.control_dependencies([five]):
        last = v.read_value()
    hub.add_signature(inputs=x, outputs=tf.stack([first, between, last]))


def test_reads_see_the_writes_that_they_wait_for():
    layer = hub.ModuleLayer(hub.create_module_spec(in_order_fn), trainable=True)
    layer.build()
    given = tf.constant([1.0, 2.0, 3.0])
    with tf.GradientTape() as tape:
        tape.watch(given)
        outputs, (new,) = layer.stateless_call([], [given], 2.0)
        total = tf.reduce_sum(outputs[2])
    assert layer.get_weights()[0].tolist() == [1.0, 2.0, 3.0]
    with tf.GradientTape() as tf1_tape:
        tf1_tape.watch(layer.weights[0].value)
        expected = layer(2.0)
        expected_total = tf.reduce_sum(expected[2])
    np.testing.assert_array_equal(outputs, expected)
    assert outputs.numpy().tolist() == [
        [1.0, 2.0, 3.0],
        [2.5, 4.25, 6.125],
        [1.5, -1.0, 114.125],
    ]
    assert new.numpy().tolist() == outputs[2].numpy().tolist() == layer.get_weights()[0].tolist()
    # A read's gradient is one to the variable, whatever was written before.
    gradient = tf1_tape.gradient(expected_total, layer.weights[0].value)
    assert tape.gradient(total, given).numpy().tolist() == gradient.numpy().tolist() == [1.0] * 3


def in_functions_fn():
    """A variable that loops, branches and functions take by its handle."""
    x = v1.placeholder(tf.float32, [None, 3])
    w = v1.get_variable("w", initializer=np.eye(3, dtype=np.float32), use_resource=True)

    def step(i, h):
        return i + 1, tf.tanh(h @ w + tf.gather(w, i))

    looped = tf.while_loop(lambda i, h: i < 2 + tf.cast(w[0, 0] > 5, tf.int32), step, [0, x])[1]
    branched = tf.cond(x[0, 0] > 0, lambda: tf.gather(w, [0]), lambda: w[1:2] * x[:1])
    called = tf.function(lambda x: tf.function(lambda x: x @ w)(x) * tf.cast(w.shape[0], x.dtype))
    hub.add_signature(inputs=x, outputs=looped + branched + called(x))


def test_functions_that_read_variables():
    layer = hub.ModuleLayer(hub.create_module_spec(in_functions_fn), trainable=True)
    layer.build()
    x = tf.constant(np.sin(np.arange(6, dtype=np.float32)).reshape(2, 3))
    for first in (x, -x):
        before = layer.get_weights()
        found, _, _, (gradient,) = learn(layer, first, False)
        layer.set_weights([w + np.float32(0.25) for w in before])
        with tf.GradientTape() as tape:
            expected = layer(first)
            total = tf.reduce_sum(expected**2)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        np.testing.assert_allclose(
            gradient, tape.gradient(total, layer.trainable_weights[0].value), rtol=1e-5
        )
        layer.set_weights(before)


def counted(handle):
    return tf.raw_ops.ResourceCountUpTo(resource=handle, limit=9, T=tf.int32)


def one_or_the_other(handle):
    chosen = tf.cond(tf.raw_ops.VarIsInitializedOp(resource=handle), lambda: handle, lambda: handle)
    return tf.raw_ops.ReadVariableOp(
        resource=tf.raw_ops.IdentityN(input=[chosen])[0], dtype="int32"
    )


def loop_that_writes_to_know_its_end(handle):
    def condition(_):
        with tf.control_dependencies([tf.raw_ops.AssignAddVariableOp(resource=handle, value=1)]):
            return tf.raw_ops.ReadVariableOp(resource=handle, dtype="int32") < 3

    return tf.while_loop(condition, lambda i: [i + 1], [0])[0]


@pytest.mark.parametrize(
    ("use", "found"),
    [
        (counted, "'ResourceCountUpTo' (ResourceCountUpTo) takes a variable's handle"),
        (one_or_the_other, "(IdentityN) takes a variable's handle"),
        (loop_that_writes_to_know_its_end, "the condition of 'while' (While) writes to a variable"),
    ],
    ids=lambda use: getattr(use, "__name__", ""),
)
def test_what_needs_a_variable_is_refused_by_name(use, found):
    def module_fn():
        count = v1.get_variable("count", initializer=0, trainable=False, use_resource=True)
        hub.add_signature(outputs=use(count.handle))

    layer = hub.ModuleLayer(hub.create_module_spec(module_fn))
    layer.build()
    with pytest.raises(hub.BackendError) as caught:
        layer.stateless_call([], [7], {})
    assert "in stateless form: it needs variables, not values alone" in str(caught.value)
    assert found in str(caught.value)
    assert "assign the values to layer.weights" in str(caught.value)
    assert layer.get_weights() == [0]


@pytest.mark.parametrize(("mode", "traced"), [("full", False), ("larger_than", True)])
def test_recomputed_in_the_backward_pass(mode, traced):
    """In a traced call, Keras does it of no layer that is told of ``training``."""
    with keras.RematScope(mode, output_size_threshold=1):
        part = module()

    def run(part):
        part(X)

        def gradients(x):
            with tf.GradientTape() as tape:
                y = part(x) if traced else part(x, training=True)
                y = tf.reduce_sum(y**2 * x[:, :3])
            return tape.gradient(y, part.trainable_weights)

        return (tf.function(gradients) if traced else gradients)(tf.constant(X))

    same(run(part), run(native()), rtol=1e-5, atol=1e-5)


def test_the_state_of_two_layers_of_one_module():
    x = keras.Input((4,))
    model = keras.Model(x, module()(x) + module()(x))
    model.compile("sgd", "mse")
    tree = model.get_state_tree(value_format="numpy_array")
    expected = model(X).numpy()
    for kind in "trainable_variables", "non_trainable_variables":
        assert len(tf.nest.flatten(tree[kind])) == len(getattr(model, kind))
    model.set_weights([w + 1 for w in model.get_weights()])
    model.set_state_tree(tree)
    np.testing.assert_array_equal(model(X), expected)
