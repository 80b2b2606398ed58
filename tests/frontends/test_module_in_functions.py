"""hub.Module where TensorFlow 2 builds a function: state outside, what is needed inside."""

import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.golden import Golden

v1 = tf.compat.v1
KEYS = v1.GraphKeys
X = tf.TensorSpec([None, 2], tf.float32)


def dense():
    x = v1.placeholder(tf.float32, [None, 2], name="x")
    w = v1.get_variable("w", initializer=[[1.0, 2.0], [3.0, 4.0]])
    hidden = tf.matmul(x, w, name="hidden")
    v1.add_to_collection(KEYS.REGULARIZATION_LOSSES, 0.1 * tf.reduce_sum(w))
    count = v1.get_variable("count", initializer=0.0, trainable=False)
    v1.add_to_collection(KEYS.UPDATE_OPS, count.assign_add(tf.reduce_sum(x)))
    hub.add_signature(inputs=x, outputs=2.0 * hidden)


@pytest.fixture
def path(tmp_path):
    """The weights as trained are others than the initializers make."""
    with tf.Graph().as_default(), v1.Session() as session:
        module = hub.Module(hub.create_module_spec(dense))
        session.run(v1.global_variables_initializer())
        session.run(module.variable_map["w"].assign([[10.0, 0.0], [0.0, 10.0]]))
        module.export(tmp_path / "module", session)
    return tmp_path / "module"


class TestWrapFunction:
    def test_values_and_variables(self, path):
        function = v1.wrap_function(lambda x: hub.Module(path, trainable=True)(x), [X])
        for _ in range(2):
            assert function(tf.constant([[1.0, 2.0]])).numpy().tolist() == [[20.0, 40.0]]
        assert sorted(v.name for v in function.variables) == ["module/count:0", "module/w:0"]
        (w,) = function.trainable_variables
        w.assign([[1.0, 1.0], [1.0, 1.0]])
        with tf.GradientTape() as tape:
            y = function(tf.constant([[1.0, 2.0]]))
        assert y.numpy().tolist() == [[6.0, 6.0]]
        assert tape.gradient(y, w).numpy().tolist() == [[2.0, 2.0], [4.0, 4.0]]

    def test_started_as_programs_for_tf1_start_it(self, path):
        """The original's values come by initializers; here they are there already."""
        function = v1.wrap_function(lambda x: hub.Module(path)(x), [X])
        with function.graph.as_default():
            start = tf.group(v1.global_variables_initializer(), v1.tables_initializer())
        function.prune([], start)()
        assert function(tf.constant([[1.0, 2.0]])).numpy().tolist() == [[20.0, 40.0]]

    def test_pruned_to_an_inner_tensor(self, path):
        function = v1.wrap_function(lambda x: hub.Module(path)(x), [X])
        hidden = function.graph.get_tensor_by_name("module_apply_default/hidden:0")
        pruned = function.prune(function.inputs[:1], hidden)
        assert pruned(tf.constant([[1.0, 2.0]])).numpy().tolist() == [[10.0, 20.0]]

    def test_a_training_step(self, path):
        def step(x):
            module = hub.Module(path, trainable=True)
            (regularization,) = v1.get_collection(KEYS.REGULARIZATION_LOSSES)
            loss = tf.reduce_sum(module(x)) + regularization
            train = v1.train.GradientDescentOptimizer(0.5).minimize(loss)
            assert [v.name for v in v1.trainable_variables()] == ["module/w:0"]
            assert {v.name for v in v1.global_variables()} == {"module/w:0", "module/count:0"}
            with tf.control_dependencies([train, *v1.get_collection(KEYS.UPDATE_OPS)]):
                return tf.identity(loss)

        function = v1.wrap_function(step, [X])
        x = tf.constant([[1.0, 2.0]])
        assert function(x).numpy() == pytest.approx(60 + 2)
        values = {v.name: v.numpy() for v in function.graph.get_collection(KEYS.GLOBAL_VARIABLES)}
        gradient = np.array([[2.0, 2.0], [4.0, 4.0]]) + 0.1
        np.testing.assert_allclose(
            values["module/w:0"], [[10.0, 0.0], [0.0, 10.0]] - 0.5 * gradient, rtol=1e-6
        )
        assert values["module/count:0"] == 3.0

    def test_tables(self):
        golden = Golden("text_embed")
        function = v1.wrap_function(
            lambda words: hub.Module(golden.path)(words), [tf.TensorSpec([None], tf.string)]
        )
        found = function(tf.constant(golden.inputs(0)))
        np.testing.assert_allclose(found, golden.outputs(0)["default"], atol=1e-5)

    def test_of_a_spec(self):
        spec = hub.create_module_spec(dense)
        function = v1.wrap_function(lambda x: hub.Module(spec)(x), [X])
        assert function(tf.constant([[1.0, 1.0]])).numpy().tolist() == [[8.0, 12.0]]


class TestFunction:
    def test_made_in_each_trace(self, path):
        function = tf.function(lambda x: hub.Module(path)(x))
        for count in (1, 3):
            assert function(tf.ones([count, 2])).numpy().tolist() == [[20.0, 20.0]] * count
        # Nothing is left behind in the process.
        assert v1.get_default_graph().get_collection(KEYS.GLOBAL_VARIABLES) == []

    def test_made_once_and_trained(self, path):
        class Model(tf.Module):
            module = None

            @tf.function
            def __call__(self, x):
                if self.module is None:
                    self.module = hub.Module(path, trainable=True)
                return self.module(x)

        model = Model()
        assert model(tf.ones([1, 2])).numpy().tolist() == [[20.0, 20.0]]
        (w,) = (v for v in model.module.variables if v.trainable)
        with tf.GradientTape() as tape:
            y = model(tf.ones([3, 2]))
        assert tape.gradient(y, w).numpy().tolist() == [[6.0, 6.0], [6.0, 6.0]]
        w.assign_add([[1.0, 1.0], [1.0, 1.0]])
        assert model(tf.ones([1, 2])).numpy().tolist() == [[24.0, 24.0]]

    def test_trainable_in_each_trace(self, path):
        function = tf.function(lambda x: hub.Module(path, trainable=True)(x), autograph=False)
        with pytest.raises(hub.GraphModeError, match="each time that a tf") as caught:
            function(tf.ones([1, 2]))
        assert "singleton tf.Variables" in caught.value.found
        assert "if self.module is None" in caught.value.advice

    def test_in_a_dataset(self, path):
        rows = tf.data.Dataset.from_tensor_slices(tf.ones([2, 1, 2]))
        found = rows.map(lambda x: hub.Module(path)(x))
        assert [value.numpy().tolist() for value in found] == [[[20.0, 20.0]]] * 2


class TestErrors:
    def test_called_outside(self, path):
        made = []
        v1.wrap_function(lambda: made.append(hub.Module(path)), [])
        with pytest.raises(hub.GraphModeError, match="outside of the function") as caught:
            made[0]([[1.0, 2.0]])
        assert "hub.load" in caught.value.advice

    def test_exported(self, path, tmp_path):
        def export():
            module = hub.Module(path)
            with tf.Graph().as_default(), v1.Session() as session:
                module.export(tmp_path / "out", session)

        with pytest.raises(hub.GraphModeError, match="that was made in a function"):
            v1.wrap_function(export, [])

    def test_references_in_a_branch(self):
        golden = Golden("ref_vars")
        with tf.Graph().as_default():
            module = hub.Module(golden.path)
            x = tf.constant(golden.inputs(0))
            with pytest.raises(RuntimeError, match="held by reference") as caught:
                tf.cond(tf.constant(True), lambda: module(x), lambda: x)
        assert caught.value.found == "'moving', a reference"
        assert "disable_control_flow_v2" in caught.value.advice
