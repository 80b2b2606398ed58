"""What programs of JAX's do with a layer, beyond what any backend does."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.backends import BACKEND, numbers

if BACKEND != "jax":
    pytest.skip("Keras computes with something else", allow_module_level=True)

import jax
import jax.numpy as jnp

from hub_keras_bridge.running.backends import staged_by_jax

v1 = tf.compat.v1
RNG = np.random.default_rng(0)
X, W = RNG.normal(size=(8, 4)).astype("f"), RNG.normal(size=(4, 3)).astype("f")


def tanh_fn():
    x = v1.placeholder(tf.float32, [None, 4])
    w = v1.get_variable("w", initializer=W)
    hub.add_signature(inputs=x, outputs=tf.tanh(x @ w))


def counting_fn():
    x = v1.placeholder(tf.float32, [None, 4])
    w = v1.get_variable("w", initializer=W)
    total = v1.get_variable("total", initializer=np.zeros(3, "f"), trainable=False)
    h = x @ w
    update = total.assign_add(tf.reduce_sum(h, 0)).op
    v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, update)
    hub.add_signature(inputs=x, outputs=tf.tanh(h))


def rows_fn():
    """By callback: XLA has no strings."""
    text = v1.placeholder(tf.string, [None])
    w = v1.get_variable("w", initializer=W)
    rows = tf.strings.to_number(text, tf.int32)
    hub.add_signature(inputs=text, outputs=tf.tanh(tf.gather(w, rows)))


def layer_of(module_fn, **arguments):
    layer = hub.ModuleLayer(hub.create_module_spec(module_fn), trainable=True, **arguments)
    layer.build()
    return layer


def pure(layer):
    """The layer as a function of its only trainable weight and of inputs."""
    others = [variable.value for variable in layer.non_trainable_variables]
    return lambda w, x: layer.stateless_call([w], others, x)[0]


CALLED_BACK = {
    "in the program": (tanh_fn, jnp.asarray(X), lambda w, x: jnp.tanh(x @ w)),
    "by callback": (
        rows_fn,
        jnp.asarray(hub.text_to_bytes(list("01230123"))),
        lambda w, x: jnp.tanh(w[x[:, 0] - ord("0")]),
    ),
}


@pytest.fixture(params=CALLED_BACK)
def case(request):
    """A layer as a function, the same by JAX alone, and the inputs."""
    module_fn, x, native = CALLED_BACK[request.param]
    layer = layer_of(module_fn)
    wanted = "jax2tf.call_tf" if request.param == "in the program" else "StringToNumber"
    assert wanted in layer.backend_route
    return pure(layer), native, x


def assert_same(found, expected):
    jax.tree.map(lambda f, e: np.testing.assert_allclose(f, e, atol=1e-5), found, expected)


def test_gradients(case):
    ours, native, x = case

    def gradient(of):
        return jax.value_and_grad(lambda w: jnp.sum(of(w, x) ** 2))

    expected = gradient(native)(W)
    assert_same(gradient(ours)(jnp.asarray(W)), expected)
    assert_same(jax.jit(gradient(ours))(W), expected)


def test_gradients_of_gradients(case):
    ours, native, x = case

    def second(of):
        inner = jax.grad(lambda w: jnp.sum(of(w, x) ** 2))
        return jax.grad(lambda w: jnp.sum(inner(w) ** 2))

    expected = second(native)(W)
    assert_same(second(ours)(jnp.asarray(W)), expected)
    assert_same(jax.jit(second(ours))(W), expected)


def test_batches_of_calls(case):
    ours, native, x = case
    ws = jnp.stack([jnp.asarray(W), 2 * W])

    def gradients(of):
        return jax.vmap(jax.grad(lambda w: jnp.sum(of(w, x))))

    assert_same(jax.jit(jax.vmap(ours, (0, None)))(ws, x), jax.vmap(native, (0, None))(ws, x))
    assert_same(gradients(ours)(ws), gradients(native)(ws))


def test_checkpoint_and_scan(case):
    ours, native, x = case

    def loss(of):
        def step(total, w):
            return total + jnp.sum(jax.checkpoint(of)(w, x)), None

        return lambda ws: jax.lax.scan(step, 0.0, ws)[0]

    ws = jnp.stack([jnp.asarray(W), 2 * W])
    assert_same(jax.grad(loss(ours))(ws), jax.grad(loss(native))(ws))


def test_gradients_of_inputs():
    ours, x = pure(layer_of(tanh_fn)), jnp.asarray(X)
    expected = jax.grad(lambda x: jnp.sum(jnp.tanh(x @ W)))(x)
    assert_same(jax.jit(jax.grad(lambda x: jnp.sum(ours(W, x))))(x), expected)
    ours, rows = pure(layer_of(rows_fn)), CALLED_BACK["by callback"][1]
    found = jax.grad(lambda x: jnp.sum(ours(W, x)), allow_int=True)(rows)
    assert found.dtype == jax.dtypes.float0


def test_a_loop_as_keras_documents_it():
    model = keras.Sequential([keras.Input((4,)), layer_of(counting_fn)])
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(model.trainable_variables)

    def loss(trainable, others, x):
        outputs, others = model.stateless_call(trainable, others, x, training=True)
        return jnp.mean(outputs**2), others

    @jax.jit
    def step(state, x):
        trainable, others, slots = state
        (value, others), slopes = jax.value_and_grad(loss, has_aux=True)(trainable, others, x)
        trainable, slots = optimizer.stateless_apply(slots, slopes, trainable)
        return value, (trainable, others, slots)

    def values(variables):
        return [variable.value for variable in variables]

    groups = model.trainable_variables, model.non_trainable_variables, optimizer.variables
    state = tuple(map(values, groups))
    w, total = W.astype("d"), np.zeros(3)
    for _ in range(3):
        value, state = step(state, X)
        out = np.tanh(X @ w)
        np.testing.assert_allclose(value, (out**2).mean(), rtol=1e-5)
        total = total + (X @ w).sum(0)
        w = w - 0.1 * X.T @ (2 * out / out.size * (1 - out**2))
    assert_same(state[0][0], w)
    assert_same(state[1][0], total)


def test_no_step_is_traced_again(monkeypatch):
    traced = []
    staged = staged_by_jax._staged
    monkeypatch.setattr(
        staged_by_jax, "_staged", lambda *given: (traced.append(given), staged(*given))[1]
    )
    model = keras.Sequential([keras.Input((4,)), layer_of(counting_fn)])
    model.compile("sgd", "mse")
    model.fit(X, X[:, :3], batch_size=2, epochs=2, verbose=0)
    # A call, a training call, its gradient.
    assert len(traced) == 3
    model.fit(X, X[:, :3], batch_size=2, verbose=0)
    assert len(traced) == 3


def test_what_is_kept_of_shapes_is_bounded():
    layer = layer_of(tanh_fn)
    for size in range(1, staged_by_jax._MOST + 4):
        jax.eval_shape(layer, jax.ShapeDtypeStruct((size, 4), "float32"))
    (function,) = layer._content._calls._pure._made.values()
    assert len(function.made[staged_by_jax._STAGED]) == staged_by_jax._MOST


def masked_fn(of_ones):
    x = v1.placeholder(tf.float32, [None, 4])
    least = 0.0 if of_ones else 1.5
    hub.add_signature(inputs=x, outputs=tf.boolean_mask(x, x > least))


def tiled_fn():
    x, n = v1.placeholder(tf.float32, [None, 4]), v1.placeholder(tf.int32, [])
    hub.add_signature(inputs={"x": x, "n": n}, outputs=tf.reduce_sum(tf.tile(x, [1, n]), 1))


def test_shapes_that_depend_on_values_within():
    layer = layer_of(tiled_fn)
    found = jax.jit(layer)({"x": jnp.asarray(X), "n": jnp.asarray(3)})
    np.testing.assert_allclose(found, 3 * X.sum(1), rtol=1e-5)
    assert layer.backend_route.startswith("jax.pure_callback")


@pytest.mark.parametrize("of_ones", [True, False])
def test_shapes_that_depend_on_values_outside(of_ones):
    layer = layer_of(lambda: masked_fn(of_ones))
    np.testing.assert_array_equal(layer(jnp.asarray(X)), X[(0.0 if of_ones else 1.5) < X])
    problem = "its shape depends on values" if of_ones else "Cannot tell the shapes"
    with pytest.raises(RuntimeError, match=problem):
        jax.block_until_ready(jax.jit(layer)(jnp.asarray(X)))


def test_no_variable_holds_what_jax_traces():
    layer = layer_of(counting_fn)
    with pytest.raises(hub.BackendError, match="Cannot update variable 'total'") as error:
        jax.jit(lambda x: layer(x, training=True))(X)
    assert "stateless_call" in error.value.advice
    np.testing.assert_array_equal(layer.variable_map["total"].value, np.zeros(3))


def test_no_gradient():
    def module_fn():
        x = v1.placeholder(tf.float32, [None, 4])
        w = v1.get_variable("w", initializer=np.ones(4, "f"))
        hub.add_signature(inputs=x, outputs=tf.raw_ops.PreventGradient(input=x * w, message="no"))

    model = keras.Sequential([keras.Input((4,)), layer_of(module_fn)])
    model.compile("sgd", "mse")
    with pytest.raises(hub.TrainingError, match="Cannot differentiate") as error:
        model.fit(X, X, verbose=0)
    assert "trainable=False" in error.value.advice
    frozen = hub.ModuleLayer(hub.create_module_spec(module_fn))
    model = keras.Sequential([keras.Input((4,)), frozen, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, X[:, :1], verbose=0)


def test_functions_of_tensorflow():
    dataset = tf.data.Dataset.from_tensor_slices(X).batch(4)
    with pytest.raises(hub.BackendError, match="in a function of TensorFlow") as error:
        dataset.map(layer_of(tanh_fn))
    assert "hub.load" in error.value.advice


def test_large_arrays_through_a_callback():
    """JAX's threads that wait for a callback are not those that the callback waits for."""
    layer = layer_of(tiled_fn)
    x = jnp.ones((250_003, 4))
    call = jax.jit(lambda x: layer({"x": 2 * x, "n": jnp.asarray(2)}))
    for _ in range(3):
        assert float(call(x)[-1]) == 16


def test_what_jax_gets_keeps_its_values():
    """Memory that both refer to is not written to, though a program may reuse it."""
    layer = layer_of(
        lambda: hub.add_signature(
            inputs=(x := v1.placeholder(tf.float32, [None, 4])), outputs=tf.identity(x)
        )
    )
    given = jnp.asarray(X) + 0
    found = layer(given)
    doubled = jax.jit(lambda x: 2 * x, donate_argnums=0)(found)
    np.testing.assert_array_equal(given, X)
    np.testing.assert_array_equal(doubled, 2 * X)
    assert numbers(layer(given)).tolist() == X.tolist()


def test_shapes_that_are_unknown():
    from jax import export

    (size,) = export.symbolic_shape("size")
    with pytest.raises(hub.BackendError, match="for shapes that are unknown"):
        export.export(jax.jit(layer_of(tanh_fn)))(jax.ShapeDtypeStruct((size, 4), "float32"))


ON_DEVICES = """
import keras, numpy as np, tensorflow as tf, hub_keras_bridge as hub
from backends.test_jax import X, counting_fn, layer_of, rows_fn

devices = keras.distribution.list_devices("cpu")
assert len(devices) == 2
for module_fn, x in (counting_fn, X), (rows_fn, hub.text_to_bytes(list("01230123"))):
    results = []
    for distribution in None, keras.distribution.DataParallel(devices=devices):
        keras.distribution.set_distribution(distribution)
        layer = layer_of(module_fn)
        model = keras.Sequential([layer])
        model.compile("sgd", "mse")
        fitted = model.fit(x, X[:, :3], batch_size=4, shuffle=False, epochs=2, verbose=0)
        arrays = [keras.ops.convert_to_numpy(weight) for weight in layer.weights]
        results.append([fitted.history["loss"], *arrays, model.predict(x, verbose=0)])
    for one, two in zip(*results):
        np.testing.assert_allclose(one, two, atol=1e-6)
"""


@pytest.mark.slow
def test_data_parallel():
    """In a process of its own: how many devices there are is settled when JAX starts."""
    tests = os.path.dirname(os.path.dirname(__file__))
    path = os.pathsep.join([tests, os.path.dirname(tests)])
    flags = "--xla_force_host_platform_device_count=2"
    environment = {**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": path}
    command = [sys.executable, "-c", ON_DEVICES]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-5_000:]
