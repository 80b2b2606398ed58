"""Checkpoints of TF1 programs around a hub.Module, in a layer."""

import contextlib
import os
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers import twins

v1 = tf.compat.v1

X = twins.X
Y = np.cos(np.arange(30, dtype=np.float32)).reshape(10, 3)


def scope_of(name):
    return v1.variable_scope(name) if name else contextlib.nullcontext()


def train(handle, folder, scope=None, version=v1.train.SaverDef.V2):
    """Trains a module in a TF1 graph as programs do; what was saved, and the outputs then."""
    with tf.Graph().as_default(), v1.Session() as session:
        with scope_of(scope):
            module = hub.Module(handle, trainable=True, tags={"train"}, name="text")
        inference = hub.Module(handle)
        step = v1.train.get_or_create_global_step()
        loss = tf.reduce_mean((module(X) - Y) ** 2) + v1.losses.get_regularization_loss()
        with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
            update = v1.train.AdamOptimizer(0.1).minimize(loss, step)
        session.run(v1.global_variables_initializer())
        for _ in range(3):
            session.run(update)
        saved = [v for v in v1.global_variables() if not v.op.name.startswith("module/")]
        prefix = v1.train.Saver(saved, write_version=version).save(
            session, os.path.join(folder, "model.ckpt"), step
        )
        trained = {v.op.name.rpartition("text/")[2]: v for v in saved}
        for variable in v1.global_variables("module/"):
            variable.load(session.run(trained[variable.op.name.removeprefix("module/")]), session)
        return prefix, session.run(inference(X))


def partitioned_fn(training=False):
    """As ``twins.dense_bn_fn``, on rows of a table in three slices."""
    x = v1.placeholder(tf.float32, [None, 4])
    table = v1.get_variable(
        "table",
        [7, 3],
        initializer=v1.glorot_uniform_initializer(1),
        partitioner=v1.fixed_size_partitioner(3),
    )
    rows = v1.nn.embedding_lookup(table, tf.cast(tf.abs(x[:, 0]) * 6, tf.int32), "div")
    hub.add_signature(inputs=x, outputs=rows * 2.0 if training else rows)


VARIANTS = [((), {}), ({"train"}, {"training": True})]


@pytest.fixture
def partitioned():
    return hub.create_module_spec(partitioned_fn, VARIANTS)


@pytest.fixture
def copies(tmp_path):
    """The prefix of a checkpoint with two copies of the twins' module, and other things."""

    def save(names=("copy", "copy_1"), **more):
        with tf.Graph().as_default(), v1.Session() as session:
            modules = [hub.Module(twins.spec(), name=name) for name in names]
            for name, value in more.items():
                v1.get_variable(name, initializer=value)
            session.run(v1.global_variables_initializer())
            for number, module in enumerate(modules):
                module.variable_map["bn/beta"].load(np.full(3, number + 1.0), session)
            return v1.train.Saver().save(session, str(tmp_path / "two"))

    return save


# --- what is loaded ---


@pytest.mark.parametrize("scope", [None, "my_model/encoder"])
@pytest.mark.parametrize("version", [v1.train.SaverDef.V1, v1.train.SaverDef.V2])
def test_of_a_training(scope, version, tmp_path):
    prefix, expected = train(twins.spec(), str(tmp_path), scope, version)
    for path in (prefix, tmp_path, os.fsencode(tmp_path)):
        layer = twins.module(trainable=path is prefix)
        before = layer(X).numpy() if path is tmp_path else None
        layer.load_checkpoint(path)
        np.testing.assert_array_equal(layer(X), expected)
        assert before is None or np.abs(before - expected).max() > 0.1


@pytest.mark.parametrize("version", [v1.train.SaverDef.V1, v1.train.SaverDef.V2])
def test_of_a_partitioned_variable(version, partitioned, tmp_path):
    prefix, expected = train(partitioned, str(tmp_path), "my_model", version)
    layer = hub.ModuleLayer(partitioned)
    layer.load_checkpoint(prefix)
    np.testing.assert_array_equal(layer(X), expected)


def test_goes_on_with_the_optimizer(tmp_path):
    """Training goes on with the new values, and with the optimizer's old slots."""
    prefix, _ = train(twins.spec(), str(tmp_path))

    def trained(load):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((4,)), twins.module(), keras.layers.Dense(2)])
        model.compile(keras.optimizers.Adam(0.1), "mse")
        model.fit(X, twins.Y, epochs=2, verbose=0)
        load(model.layers[0])
        model.fit(X, twins.Y, epochs=2, verbose=0)
        return model.get_weights()

    def assign_one_by_one(layer):
        for name, variable in layer.variable_map.items():
            variable.assign(tf.train.load_variable(prefix, f"text/{name}"))

    for found, expected in zip(
        trained(lambda layer: layer.load_checkpoint(prefix)),
        trained(assign_one_by_one),
        strict=True,
    ):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_of_a_folder_that_was_moved(tmp_path):
    _, expected = train(twins.spec(), str(tmp_path / "here"))
    shutil.move(tmp_path / "here", tmp_path / "there")
    layer = twins.module()
    layer.load_checkpoint(tmp_path / "there")
    np.testing.assert_array_equal(layer(X), expected)


def test_of_one_of_two_copies(copies):
    prefix = copies()
    layer = twins.module()
    with pytest.raises(hub.CheckpointError) as caught:
        layer.load_checkpoint(prefix)
    assert "Found: 2 scopes: 'copy/', 'copy_1/'" in str(caught.value)
    assert "such as name_transform_fn=lambda name: 'copy/' + name" in str(caught.value)
    layer.load_checkpoint(prefix, lambda name: "copy_1/" + name)
    assert layer.variable_map["bn/beta"].numpy().tolist() == [2, 2, 2]


def test_variables_of_training_alone_may_be_absent(tmp_path):
    """As in a graph of the variant for inference."""

    def module_fn(training=False):
        x = v1.placeholder(tf.float32, [None])
        w = v1.get_variable("w", initializer=1.0)
        steps = v1.get_variable("steps", initializer=7.0, trainable=False) if training else 0.0
        hub.add_signature(inputs=x, outputs=x * w + steps)

    spec = hub.create_module_spec(module_fn, VARIANTS)
    with tf.Graph().as_default(), v1.Session() as session:
        v1.get_variable("m/w", initializer=5.0)
        session.run(v1.global_variables_initializer())
        prefix = v1.train.Saver().save(session, str(tmp_path / "inference"))
    layer = hub.ModuleLayer(spec, trainable=True)
    layer.load_checkpoint(prefix)
    assert {name: v.numpy() for name, v in layer.variable_map.items()} == {"w": 5, "steps": 7}


# --- what cannot be ---


def refusal(prefix, *args, layer=None):
    """The text of the error; the weights are as they were."""
    layer = layer or twins.module()
    before = [weight.numpy() for weight in layer.weights]
    with pytest.raises(hub.CheckpointError) as caught:
        layer.load_checkpoint(prefix, *args)
    for weight, value in zip(layer.weights, before, strict=False):
        np.testing.assert_array_equal(weight, value)
    return str(caught.value)


@pytest.fixture
def save(tmp_path):
    """Saves variables by name; returns the prefix."""

    def save(**values):
        with tf.Graph().as_default(), v1.Session() as session:
            for name, value in values.items():
                v1.get_variable(name.replace("__", "/"), initializer=value)
            session.run(v1.global_variables_initializer())
            return v1.train.Saver().save(session, str(tmp_path / "saved"))

    return save


SCALE = "Cannot find the variables of a TF1 Hub module in a checkpoint."


def test_another_shape_or_dtype(save, scale_spec):
    layer = hub.ModuleLayer(scale_spec)
    text = refusal(save(m__scale=np.ones(3), n__scale=np.float32([1, 2, 3])), layer=layer)
    assert text.startswith(SCALE)
    assert "Expected: all of 'scale' in one scope of " in text
    assert "in scope 'm/' 'm/scale' is float64 [3], not float32 [2]" in text
    assert "in scope 'n/' 'n/scale' is float32 [3], not float32 [2]" in text


def test_variable_that_is_missing(save):
    text = refusal(save(a__dense__kernel=twins.KERNEL, a__dense__bias=np.zeros(3, np.float32)))
    assert text.startswith(SCALE)
    assert "in scope 'a/' 'a/bn/beta' is missing" in text.replace("'a/bn/gamma' is missing, ", "")


def test_nothing_that_fits(save):
    text = refusal(save(other=1.0))
    assert "Found: entries 'other'" in text
    assert "name_transform_fn: from the name in the module to that in the checkpoint" in text


def test_names_that_are_not_there(copies):
    text = refusal(copies(("copy",)), lambda name: f"elsewhere/{name}")
    assert "Expected: an entry 'elsewhere/dense/kernel' in " in text
    assert "name_transform_fn maps names that differ" in text


def test_checkpoint_of_objects(tmp_path):
    prefix = tf.train.Checkpoint(w=tf.Variable([1.0])).save(str(tmp_path / "objects"))
    assert "restore it as it was saved, by tf.train.Checkpoint" in refusal(prefix)


def test_no_checkpoint(tmp_path):
    (tmp_path / "weights.h5").write_bytes(b"no")
    for path in (tmp_path / "absent", tmp_path / "weights.h5"):
        text = refusal(path)
        assert text.startswith("Cannot open the checkpoint of a TF1 Hub module.")
        assert "pass the path that was given to Saver.save()" in text
    assert "the folder has no latest checkpoint" in refusal(tmp_path)
    assert "the path is empty" in refusal("")


def test_of_a_saved_model(tmp_path):
    tf.saved_model.save(hub.load(twins.spec()), tmp_path / "tf2")
    layer = hub.ModuleLayer(tmp_path / "tf2")
    text = refusal(tmp_path, layer=layer)
    assert text.startswith("Cannot load a checkpoint of a TF1 program into a TF2 SavedModel.")
    # The advice works as it stands.
    path = tf.train.Checkpoint(bias=tf.Variable([1.0, 2.0, 3.0])).save(tmp_path / "objects")
    key = next(key for key, _ in tf.train.list_variables(path) if key.startswith("bias"))
    layer.variable_map["dense/bias"].assign(tf.train.load_variable(path, key))
    assert layer.variable_map["dense/bias"].numpy().tolist() == [1, 2, 3]


def test_in_a_tf1_graph(copies):
    prefix = copies(("copy",))
    with tf.Graph().as_default(), pytest.raises(hub.GraphModeError):
        twins.module().load_checkpoint(prefix)
