"""Numbers of 64 bits, on whatever Keras computes with: none is lost without a word."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.backends import BACKEND, numbers, wide_numbers

v1 = tf.compat.v1
X = np.random.default_rng(0).normal(size=(8, 4)).astype("f")
LARGE = 2**40

only_narrow = pytest.mark.skipif(BACKEND != "jax", reason="has 64 bits anyway")


def stepping_fn():
    x = v1.placeholder(tf.float32, [None, 4])
    w = v1.get_variable("w", initializer=np.ones(4, "f"))
    step = v1.get_variable("global_step", initializer=np.int64(5), trainable=False)
    v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, step.assign_add(2).op)
    index = tf.argmax(x, 1)
    exact = tf.cast(x, tf.float64) + 1e-9
    hub.add_signature(
        inputs=x, outputs={"default": x * w, "index": index, "large": index + LARGE, "exact": exact}
    )


def layer_of(module_fn=stepping_fn, **arguments):
    return hub.ModuleLayer(hub.create_module_spec(module_fn), trainable=True, **arguments)


def test_all_of_it():
    with wide_numbers():
        found = layer_of(as_dict=True)(X)
        assert numbers(found["large"]).tolist() == (X.argmax(1) + LARGE).tolist()
        np.testing.assert_array_equal(numbers(found["exact"]), X.astype("d") + 1e-9)


def test_weights_and_their_gradients_in_float64():
    def module_fn():
        x = v1.placeholder(tf.float64, [None, 4])
        w = v1.get_variable("w", initializer=np.full(4, 1 + 1e-12))
        hub.add_signature(inputs=x, outputs=x * w)

    with wide_numbers():
        layer = layer_of(module_fn)
        model = keras.Sequential([keras.Input((4,), dtype="float64"), layer])
        model.compile(keras.optimizers.SGD(0.0), "mse")
        model.fit(X, X, verbose=0)
        assert numbers(layer.variable_map["w"]).tolist() == [1 + 1e-12] * 4
    if BACKEND == "jax":
        with pytest.raises(hub.BackendError, match="Cannot use variable 'w'") as error:
            layer_of(module_fn).build()
        assert "float64, which it would cut to float32" in error.value.found
        assert "jax_enable_x64" in error.value.advice


def test_steps_are_counted(tmp_path):
    layer = layer_of()
    model = keras.Sequential([keras.Input((4,)), layer])
    model.compile("sgd", "mse")
    model.fit(X, X, batch_size=4, verbose=0)
    assert int(numbers(layer.variable_map["global_step"])) == 9
    layer.export_module(tmp_path / "module")
    written = tf.train.load_checkpoint(str(tmp_path / "module" / "variables" / "variables"))
    assert written.get_tensor("global_step").dtype == np.int64


def test_integers_that_fit():
    layer = layer_of(output_key="index")
    assert numbers(layer(X)).tolist() == X.argmax(1).tolist()
    model = keras.Sequential([keras.Input((4,)), layer])
    assert model.predict(X, verbose=0).tolist() == X.argmax(1).tolist()


@only_narrow
def test_integers_that_do_not_fit():
    layer = layer_of(output_key="large")
    with pytest.raises(hub.BackendError, match="a value does not fit") as error:
        layer(X)
    assert "which int32 does not hold" in error.value.found
    model = keras.Sequential([keras.Input((4,)), layer])
    with pytest.raises(RuntimeError, match="a value does not fit"):
        model.predict(X, verbose=0)


@only_narrow
def test_floats_that_would_lose_digits():
    with pytest.raises(hub.BackendError, match="Cannot use output 'exact'") as error:
        layer_of(output_key="exact")(X)
    assert "jax_enable_x64" in error.value.advice


def rows_fn():
    rows = v1.placeholder(tf.int64, [None])
    w = v1.get_variable("w", initializer=np.arange(4, dtype="f"))
    hub.add_signature(inputs=rows, outputs=tf.gather(w, rows % 4))


def test_inputs():
    layer = layer_of(rows_fn)
    assert numbers(layer(np.array([1, LARGE + 2]))).tolist() == [1, 2]
    assert numbers(layer([LARGE + 3])).tolist() == [3]
    assert numbers(layer(keras.ops.convert_to_tensor(np.array([1, 2], "int32")))).tolist() == [1, 2]
    model = keras.Sequential([keras.Input((), dtype="int32"), layer])
    assert model.predict(np.array([1, 2]), verbose=0).tolist() == [1, 2]


def test_inputs_that_do_not_fit():
    def module_fn():
        rows = v1.placeholder(tf.int32, [None])
        w = v1.get_variable("w", initializer=np.arange(4, dtype="f"))
        hub.add_signature(inputs=rows, outputs=tf.gather(w, rows))

    layer = layer_of(module_fn)
    assert numbers(layer(np.array([1, 2]))).tolist() == [1, 2]
    with pytest.raises(hub.InputError, match="Cannot feed input"):
        layer(np.array([LARGE]))


@only_narrow
def test_a_program_looks_at_values():
    import jax
    import jax.numpy as jnp

    def module_fn():
        rows = v1.placeholder(tf.int32, [None])
        hub.add_signature(inputs=rows, outputs=rows + 1)

    layer = jax.jit(layer_of(module_fn))
    assert layer(jnp.array([1, 2], "uint32")).tolist() == [2, 3]
    with pytest.raises(jax.errors.JaxRuntimeError, match="uint32 with the value 4294967295"):
        jax.block_until_ready(layer(jnp.array([2**32 - 1], "uint32")))
