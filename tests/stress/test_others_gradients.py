"""Gradients that a module names by a number: never one of this program's own functions."""

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import hub_keras_bridge as hub

v1 = tf.compat.v1


@pytest.fixture
def called():
    """What a custom gradient of this program was called with, and the name that it has."""
    calls = []

    @tf.custom_gradient
    def mine(x):
        def gradient(upstream):
            calls.append(upstream)
            return 100.0 * upstream

        return tf.identity(x), gradient

    with tf.Graph().as_default() as graph:
        mine(v1.placeholder(tf.float32, [2]))
    (name,) = {
        op.get_attr("_gradient_op_type").decode()
        for op in graph.get_operations()
        if "_gradient_op_type" in op.node_def.attr
    }
    calls.clear()
    return calls, name


def times_three():
    x = v1.placeholder(tf.float32, [2], name="x")
    scale = v1.get_variable("scale", initializer=3.0)
    hub.add_signature(inputs=x, outputs=tf.identity(x * scale, name="y"))


def published(folder, name):
    """A module whose output says that its gradient is the one of this name."""
    hub.ModuleLayer(hub.create_module_spec(times_three)).export_module(folder)
    file = folder / "saved_model.pb"
    saved_model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for node in saved_model.meta_graphs[0].graph_def.node:
        if node.name == "y":  # as tf.custom_gradient makes it, of outputs and inputs
            node.op, node.attr["_gradient_op_type"].s = "IdentityN", name.encode()
            node.input.append("x")
            node.attr["T"].list.type[:] = [tf.float32.as_datatype_enum] * 2
            node.attr.pop("_output_shapes", None)
    file.write_bytes(saved_model.SerializeToString())
    return str(folder)


def gradient_of(layer):
    x = tf.constant([1.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
    return tape.gradient(y, x).numpy().tolist()


def test_a_layer_finds_none(called, tmp_path):
    calls, name = called
    path = published(tmp_path / "m", name)
    for load in (hub.ModuleLayer, hub.load):
        with pytest.raises(LookupError, match="No gradient defined"):
            gradient_of(load(path))
    assert calls == []
    # The numbers are there all the same.
    assert hub.ModuleLayer(path)([1.0, 2.0]).numpy().tolist() == [3.0, 6.0]


def test_nor_does_a_session(called, tmp_path):
    calls, name = called
    path = published(tmp_path / "m", name)
    with tf.Graph().as_default():
        x = tf.constant([1.0, 2.0])
        y = hub.Module(path, safe_mode=True)(x)
        with pytest.raises(LookupError, match="No gradient defined"):
            v1.gradients(y, x)
    assert calls == []


def test_trusted_modules_find_it(called, tmp_path):
    calls, name = called
    path = published(tmp_path / "m", name)
    assert gradient_of(hub.ModuleLayer(path, safe_mode=False)) == [100.0, 100.0]
    assert len(calls) == 1


def test_a_spec_of_this_program_keeps_its_own():
    @tf.custom_gradient
    def clipped(x):
        return tf.identity(x), lambda upstream: 0.5 * upstream

    def module_fn():
        x = v1.placeholder(tf.float32, [2])
        hub.add_signature(inputs=x, outputs=clipped(2.0 * x))

    assert gradient_of(hub.ModuleLayer(hub.create_module_spec(module_fn))) == [1.0, 1.0]


@pytest.mark.parametrize("with_gradients", [False, True])
def test_saved_models(called, tmp_path, with_gradients):
    calls, name = called

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([2], tf.float32)])
        def __call__(self, x):
            @tf.custom_gradient
            def own(x):
                return tf.identity(x), lambda upstream: 7.0 * upstream

            return own(3.0 * x)

    path = tmp_path / "m"
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=with_gradients)
    tf.saved_model.save(Model(), str(path), options=options)
    if with_gradients:
        assert gradient_of(hub.load(path)) == [21.0, 21.0]
        return
    file = path / "saved_model.pb"
    saved_model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for function in saved_model.meta_graphs[0].graph_def.library.function:
        for node in function.node_def:
            if "_gradient_op_type" in node.attr and "CustomGradient-" in str(node.attr):
                node.attr["_gradient_op_type"].s = name.encode()
    file.write_bytes(saved_model.SerializeToString())
    with pytest.raises(LookupError, match="No gradient defined"):
        gradient_of(hub.load(path))
    assert calls == []
