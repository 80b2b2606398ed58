"""What hub.Module refuses."""

from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import hub_keras_bridge as hub
from helpers.golden import Golden
from helpers.tf1_reference import v1_control_flow
from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.files.layout import SAVED_MODEL_FILE

v1 = tf.compat.v1


@pytest.fixture
def session():
    """A graph with a session, the defaults of the test."""
    with tf.Graph().as_default(), v1.Session() as session:
        yield session


def initialize(session):
    session.run([v1.global_variables_initializer(), v1.tables_initializer()])


def test_eagerly(scale_path):
    with pytest.raises(RuntimeError, match="TensorFlow executes eagerly") as caught:
        hub.Module(scale_path)
    assert isinstance(caught.value, hub.GraphModeError)
    assert caught.value.advice == (
        "make it inside `with tf.Graph().as_default():`; begin a TF1 script with "
        "tf.compat.v1.disable_v2_behavior(); or use hub.ModuleLayer"
    )


@pytest.mark.parametrize("name", ["", "a b", "/a", "a/", "1a", None, 3])
def test_names_that_are_no_scopes(name, scale_path, session):
    with pytest.raises(hub.InputError, match="cannot be a scope's") as caught:
        hub.Module(scale_path, name=name)
    assert f"Found: {name!r}" in str(caught.value)


def test_a_layer_in_a_graph(scale_path, session):
    layer = hub.ModuleLayer(scale_path)
    for use in (layer.build, lambda: layer(tf.ones([1, 2]))):
        with pytest.raises(hub.GraphModeError) as caught:
            use()
        assert "use hub.Module" in str(caught.value)


def test_in_another_graph(scale_path, session):
    module = hub.Module(scale_path)
    with tf.Graph().as_default(), pytest.raises(hub.GraphModeError, match="another graph"):
        module([[1.0, 1.0]])


def test_tensors_of_another_graph(scale_path, session):
    with tf.Graph().as_default():
        other = tf.constant([[1.0, 1.0]], name="other")
    with private_tf.eager_mode():
        eager = tf.constant([[1.0, 1.0]])
    module = hub.Module(scale_path)
    for value, found in ((other, "'other:0' of another graph"), (eager, "an eager tensor")):
        with pytest.raises(ValueError, match="not of its graph") as caught:
            module(value)
        assert isinstance(caught.value, RuntimeError)
        assert caught.value.found == found
        assert "tensor.numpy()" in caught.value.advice


def test_a_session_without_values(scale_path, session, tmp_path):
    module = hub.Module(scale_path)
    with pytest.raises(tf.errors.FailedPreconditionError) as caught:
        module.export(tmp_path / "m", session)
    assert isinstance(caught.value, hub.ExportError)
    assert "global_variables_initializer()" in caught.value.advice
    assert not (tmp_path / "m").exists()


def test_a_session_that_is_lost(scale_path, session, tmp_path):
    """Programs catch what TensorFlow raised, and begin anew."""

    class Lost(v1.Session):
        def run(*_, **__):
            raise tf.errors.UnavailableError(None, None, "worker gone")

    with pytest.raises(tf.errors.UnavailableError, match="worker gone"):
        hub.Module(scale_path).export(tmp_path / "m", Lost())
    assert not (tmp_path / "m").exists()


def test_a_session_of_another_graph_for_a_module_without_variables(session, tmp_path):
    def double():
        x = v1.placeholder(tf.float32, [None])
        hub.add_signature(inputs=x, outputs=2.0 * x)

    module = hub.Module(hub.create_module_spec(double))
    with pytest.raises(RuntimeError, match="session is of another graph"):
        module.export(tmp_path / "m", v1.Session(graph=tf.Graph()))


def test_a_session_of_another_graph(scale_path, session, tmp_path):
    module = hub.Module(scale_path)
    with (
        v1.Session(graph=tf.Graph()) as other,
        pytest.raises(RuntimeError, match="session is of another graph"),
    ):
        module.export(tmp_path / "m", other)
    assert not (tmp_path / "m").exists()


def test_an_input_that_is_a_part_of_a_loop(publish):
    """TensorFlow's importer ends the process over such a graph."""

    def module_fn():
        x = v1.placeholder(tf.float32, [])
        with v1_control_flow():
            grown = v1.while_loop(lambda y: y < 9.0, lambda y: 2.0 * y, [tf.constant(1.0)])
        hub.add_signature(inputs=x, outputs=grown)

    path = publish(module_fn)
    file = Path(path) / SAVED_MODEL_FILE
    saved_model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    (meta_graph,) = saved_model.meta_graphs
    (turn,) = (n.name for n in meta_graph.graph_def.node if n.op == "NextIteration")
    meta_graph.signature_def["default"].inputs["default"].name = f"{turn}:0"
    file.write_bytes(saved_model.SerializeToString())
    with tf.Graph().as_default():
        module, loaded = hub.Module(path), hub.load(path)
        for call in (module, lambda x: loaded.signatures["default"](default=x)):
            with pytest.raises(hub.FormatError, match="is a part of a loop") as error:
                call(tf.constant(1.0))
            assert f"'{turn}:0', the output of a node of type NextIteration" in str(error.value)


def test_inputs_and_outputs(session):
    module = hub.Module(Golden("multi_io").path)
    with pytest.raises(hub.SignatureError, match="no output 'default'"):
        module({"apples": [[0.0] * 4], "oranges": [[0.0] * 6]}, signature="fruit_to_pet")
    with pytest.raises(TypeError, match="the keys 'apples', 'oranges'"):
        module({"apples": [[0.0] * 4]})
    with pytest.raises(hub.TagsError):
        hub.Module(Golden("multi_io").path, tags={"train"})
