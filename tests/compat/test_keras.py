"""Private names of Keras: a failure here says which version broke which."""

import importlib
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.checks import Checks
from hub_keras_bridge.compat import keras as private_keras

v1 = tf.compat.v1
CHECKS = Checks(private_keras)


def layer_of_scale(**arguments):
    def module_fn():
        x = v1.placeholder(tf.float32, [None, 2])
        scale = v1.get_variable("scale", initializer=[2.0, 3.0])
        v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, tf.reduce_sum(scale))
        hub.add_signature(inputs=x, outputs=x * scale)

    return hub.ModuleLayer(hub.create_module_spec(module_fn), **arguments)


@CHECKS.of("has_stand_ins", "current_value", "is_stateless")
def stand_ins_for_weights():
    weights = [keras.Variable([1.0]), keras.Variable([2.0])]
    assert not private_keras.has_stand_ins(weights)
    assert not private_keras.is_stateless()
    with keras.StatelessScope([(weights[1], tf.constant([5.0]))]):
        assert private_keras.has_stand_ins(weights)
        assert private_keras.is_stateless()
        assert [float(private_keras.current_value(each)[0]) for each in weights] == [1.0, 5.0]
    with keras.StatelessScope():
        assert not private_keras.has_stand_ins(weights)
        assert private_keras.is_stateless()
    seen = []
    layer = keras.layers.Lambda(lambda x: seen.append(private_keras.is_stateless()) or x)
    layer(keras.Input((1,)))
    assert seen == [False]  # Keras traces shapes.


@CHECKS.of("operation_in_progress", "Operation")
def what_keras_does_at_once():
    seen = []

    @keras.saving.register_keras_serializable(package="test_keras")
    class Noting(keras.layers.Layer):
        def get_config(self):
            seen.append(private_keras.operation_in_progress())
            return super().get_config()

        def call(self, x):
            return x

    model = keras.Sequential([keras.Input((1,)), Noting(), Noting()])
    for _ in range(2):
        keras.models.clone_model(model)
    assert all(isinstance(each, private_keras.Operation) for each in seen)
    first, again, second, _ = seen
    assert first is again
    assert first is not second
    gone = weakref.ref(first)
    del first, again
    seen.clear()
    assert gone() is None
    assert private_keras.operation_in_progress() is None


@CHECKS.of("beside_layer_being_built")
def paths_of_what_is_built_beside():
    class Outer(keras.layers.Layer):
        def __init__(self):
            super().__init__(name="outer")
            self.inner = keras.layers.Dense(1, name="inner")

        def build(self, shape):
            with private_keras.beside_layer_being_built():
                self.inner.build(shape)

    outer = Outer()
    outer.build((None, 1))
    assert outer.inner.kernel.path == "inner/kernel"


@CHECKS.of("outermost_layer")
def the_call_that_is_under_way():
    seen = []

    class Noting(keras.layers.Layer):
        def call(self, x):
            seen.append(private_keras.outermost_layer())
            return x

    model = keras.Sequential([Noting()])
    model(np.zeros((1, 1)))
    assert seen[-1] is model
    assert private_keras.outermost_layer() is None


@CHECKS.of("HeldVariable")
def a_variable_that_is_there_already():
    first, second = tf.Variable([1.0]), tf.Variable([0.0])
    held = private_keras.HeldVariable(first, name="held", trainable=True)
    held.assign([5.0])
    assert first.numpy().tolist() == [5.0]
    held.move_to(second)
    held.assign_add([1.0])
    assert (first.numpy().tolist(), second.numpy().tolist()) == ([5.0], [6.0])


@CHECKS.of("raw_variable")
def variables_are_not_cast():
    seen = []

    class Reads(keras.layers.Layer):
        def build(self, _):
            self.scale = self.add_weight(shape=())

        def call(self, inputs):
            seen.extend([self.scale.value.dtype, private_keras.raw_variable(self.scale).dtype])
            return inputs

    Reads(dtype="mixed_bfloat16")(tf.ones([1]))
    assert seen == [tf.bfloat16, tf.float32]


@CHECKS.of("take_inputs_as_they_are")
def inputs_reach_the_call():
    class Asks(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            private_keras.take_inputs_as_they_are(self)

        def call(self, inputs):
            self.seen = inputs
            return tf.constant(0.0)

    layer, given = Asks(), np.float64([1.0])
    layer(given)
    assert layer.seen is given


@CHECKS.of("all_layers")
def layers_at_any_depth():
    class Holder(keras.layers.Layer):
        def __init__(self, inner):
            super().__init__()
            self.inner = [inner]

        def call(self, inputs):
            return self.inner[0](inputs)

    inner = keras.layers.Dense(1)
    model = keras.Sequential([keras.Sequential([Holder(inner)])])
    assert inner in private_keras.all_layers(model)


@CHECKS.of("outside_stateless_scope")
def variables_at_once_inside_a_trace():
    with keras.StatelessScope(), private_keras.outside_stateless_scope():
        variable = keras.Variable(np.float32([1.0]))
        assert variable.value.numpy().tolist() == [1.0]


@CHECKS.of("value_for_tensorflow", "to_numpy")
def values_beside_autocast():
    """Where Keras computes with TensorFlow; tests/backends has the others."""
    variable = keras.Variable(np.float32([0.1]))
    with keras.src.backend.common.AutocastScope("float16"):
        assert private_keras.value_for_tensorflow(variable) is variable._value
        found = private_keras.to_numpy(variable)
    assert found.dtype == np.float32
    assert found.tolist() == np.float32([0.1]).tolist()


@CHECKS.of("device_with_values")
def names_of_devices_on_pytorch():
    """That they are there; tests/backends has what they do, on PyTorch."""
    pytest.importorskip("torch")
    core = importlib.import_module("keras.src.backend.torch.core")
    assert core.get_device() == core.DEFAULT_DEVICE == "cpu"
    with core.device_scope("meta"):
        assert core.get_device() == "meta"


@CHECKS.of("loads_in_safe_mode")
def safe_mode_of_a_load(folder):
    seen = []

    @keras.saving.register_keras_serializable("test_keras")
    class Asks(keras.layers.Layer):
        @classmethod
        def from_config(cls, config):
            seen.append(private_keras.loads_in_safe_mode())
            return cls(**config)

        def call(self, inputs):
            return inputs

    keras.Sequential([keras.Input((1,)), Asks()]).save(folder / "m.keras")
    for safe_mode in (True, False):
        keras.models.load_model(folder / "m.keras", safe_mode=safe_mode)
    assert seen == [True, False]


@CHECKS.of("forget_weights")
def a_second_build_has_no_weight_twice():
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    private_keras.forget_weights(layer)
    assert layer.weights == []


@CHECKS.of("OwnLosses")
def losses_of_current_weights():
    layer = layer_of_scale(trainable=True)
    model = keras.Sequential([keras.Input((2,)), layer])
    assert [float(loss) for loss in model.losses] == [5.0]
    layer.variable_map["scale"].assign([1.0, 1.0])
    assert [float(loss) for loss in model.losses] == [2.0]


def test_each_has_a_check():
    assert CHECKS.unchecked() == set()


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_still_does_what_it_says(name, tmp_path):
    CHECKS.run(name, tmp_path)
