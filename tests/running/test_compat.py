"""Private names of TensorFlow and Keras: a failure here says which version broke which."""

import inspect
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import hub_keras_bridge as hub
from hub_keras_bridge.compat import private

v1 = tf.compat.v1
VERSIONS = f"TensorFlow {tf.__version__}, Keras {keras.__version__}"

CHECKS = {}


def check_of(*names):
    """Registers what shows that functions of compat.py do what they say."""

    def register(check):
        CHECKS.update(dict.fromkeys(names, check))
        return check

    return register


@check_of("op_def")
def registered_ops():
    definition = private.op_def("MatMul")
    assert [argument.name for argument in definition.input_arg] == ["a", "b"]
    assert private.op_def("Assign").input_arg[0].is_ref
    assert private.op_def("Unheard") is None


@check_of("decode_type_spec", "encode_type_spec")
def type_specs():
    for spec in (tf.SparseTensorSpec([None, 2]), tf.RaggedTensorSpec([None, None], tf.int64)):
        assert private.decode_type_spec(private.encode_type_spec(spec)) == spec


@check_of("eager_mode")
def eager_inside_a_graph():
    with tf.Graph().as_default(), private.eager_mode():
        assert tf.constant(1.0).numpy() == 1.0


@check_of("set_initializer")
def initialized_by_an_op():
    variable = tf.Variable(3.0)
    with tf.Graph().as_default() as graph, v1.Session() as session:
        private.set_initializer(variable, tf.no_op("start"))
        initializer = v1.variables_initializer([variable])
        assert [op.name for op in initializer.control_inputs] == ["start"]
        session.run(initializer)
    assert graph.get_operation_by_name("start") is variable.initializer


@check_of("enter_v1_context")
def tensors_enter_loops():
    def body(i):
        entered.append(private.enter_v1_context(outside))
        return i + 1

    entered = []
    v1.disable_control_flow_v2()
    try:
        with tf.Graph().as_default():
            outside = tf.constant(1.0)
            assert private.enter_v1_context(outside) is outside
            v1.while_loop(lambda i: i < 2, body, [0])
    finally:
        v1.enable_control_flow_v2()
    assert [(tensor.op.type, tensor.op.inputs[0] is outside) for tensor in entered] == [
        ("Enter", True)
    ]


@check_of("capture", "capture_variable", "wrap_function")
def captured_values():
    variable, constant = tf.Variable(3.0), tf.constant(4.0)

    def body(x):
        handle = private.capture_variable(variable, watch=True)
        return [x * tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.float32)
                + private.capture(constant)]  # fmt: skip

    function = private.wrap_function(body, [tf.TensorSpec([], tf.float32)])
    with tf.GradientTape() as tape:
        (y,) = function(tf.constant(2.0))
    assert y.numpy() == 10.0
    assert tape.gradient(y, variable).numpy() == 2.0


@check_of("mention_variables")
def variables_listed_but_not_seen_by_a_tape():
    variable = tf.Variable(3.0)

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
    def function(x):
        with tf.GradientTape() as tape:
            private.mention_variables([variable])
            assert not tape.watched_variables()
        return x

    assert function.get_concrete_function().variables == (variable,)


@check_of("runs_eagerly")
def knows_that_ops_have_run():
    code = (
        "from hub_keras_bridge.compat import private; import tensorflow as tf;"
        "before = private.runs_eagerly(); tf.constant(1.0); print(before, private.runs_eagerly())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


@check_of("global_seed")
def the_seed_that_was_set():
    tf.random.set_seed(7)
    assert private.global_seed() == 7


@check_of("local_replica")
def number_of_the_replica():
    seen = []
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    with strategy.scope():
        assert private.local_replica() is None
    strategy.run(lambda: seen.append(private.local_replica()))
    assert seen == [0]


@check_of("inside_xla")
def knows_that_it_is_compiled():
    seen = []

    def note(x):
        seen.append(private.inside_xla())
        return x

    for jit_compile in (False, True):
        tf.function(note, jit_compile=jit_compile)(tf.constant(1.0))
    assert seen == [False, True]


@check_of("xla_kernels")
def kernels_of_xla():
    assert private.xla_kernels("MatMul", "XLA_CPU_JIT")
    assert not private.xla_kernels("StringJoin", "XLA_CPU_JIT")


@check_of("announce_variables")
def variables_of_a_function_are_told():
    variable = tf.Variable(3.0)
    function = private.wrap_function(
        lambda: [
            tf.raw_ops.ReadVariableOp(
                resource=private.capture_variable(variable, watch=True), dtype=tf.float32
            )
        ],
        [],
    )

    def call(x):
        private.announce_variables(function)
        return x * function()[0]

    with tf.GradientTape() as tape:
        y = tf.recompute_grad(call)(tf.constant(2.0))
    assert tape.gradient(y, variable).numpy() == 2.0


@check_of("has_stand_ins")
def stand_ins_for_weights():
    layer = keras.layers.Dense(1)
    layer.build((None, 1))
    assert not private.has_stand_ins(layer)
    with keras.StatelessScope([(weight, weight.value + 1.0) for weight in layer.weights]):
        assert private.has_stand_ins(layer)
    with keras.StatelessScope():
        assert not private.has_stand_ins(layer)


@check_of("HeldVariable")
def a_variable_that_is_there_already():
    first, second = tf.Variable([1.0]), tf.Variable([0.0])
    held = private.HeldVariable(first, name="held", trainable=True)
    held.assign([5.0])
    assert first.numpy().tolist() == [5.0]
    held.move_to(second)
    held.assign_add([1.0])
    assert (first.numpy().tolist(), second.numpy().tolist()) == ([5.0], [6.0])


@check_of("inside_v1_loop")
def knows_that_it_is_in_a_loop():
    seen = []

    def body(i):
        seen.append(private.inside_v1_loop())
        return v1.cond(i > 0, lambda: seen.append(private.inside_v1_loop()) or i + 1, lambda: i + 1)

    v1.disable_control_flow_v2()
    try:
        with tf.Graph().as_default():
            assert not private.inside_v1_loop()
            v1.while_loop(lambda i: i < 2, body, [0])
            v1.cond(
                tf.constant(True), lambda: seen.append(private.inside_v1_loop()) or 1, lambda: 2
            )
    finally:
        v1.enable_control_flow_v2()
    assert seen == [True, True, False]


@check_of("colocate")
def groups_and_devices_of_others():
    with tf.Graph().as_default():
        with tf.device("/device:CPU:1"):
            other = tf.constant(1.0, name="other").op
        with tf.device("/device:CPU:0"):
            op = tf.constant(2.0).op
        private.colocate(op, [other])
        assert op.colocation_groups() == [b"loc:@other"]
        assert op.device == other.device


@check_of("track_child")
def children_are_saved(folder):
    vocabulary = folder / "words.txt"
    vocabulary.write_text("a\n")
    root, table = tf.Module(), tf.Module()
    root.table = table
    private.track_child(table, tf.saved_model.Asset(str(vocabulary)), "asset_0")
    tf.saved_model.save(root, str(folder / "saved"))
    assert (folder / "saved" / "assets" / "words.txt").exists()


def layer_of_scale(**arguments):
    def module_fn():
        x = v1.placeholder(tf.float32, [None, 2])
        scale = v1.get_variable("scale", initializer=[2.0, 3.0])
        v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, tf.reduce_sum(scale))
        hub.add_signature(inputs=x, outputs=x * scale)

    return hub.ModuleLayer(hub.create_module_spec(module_fn), **arguments)


@check_of("raw_variable")
def variables_are_not_cast():
    seen = []

    class Reads(keras.layers.Layer):
        def build(self, _):
            self.scale = self.add_weight(shape=())

        def call(self, inputs):
            seen.extend([self.scale.value.dtype, private.raw_variable(self.scale).dtype])
            return inputs

    Reads(dtype="mixed_bfloat16")(tf.ones([1]))
    assert seen == [tf.bfloat16, tf.float32]


@check_of("take_inputs_as_they_are")
def inputs_reach_the_call():
    class Asks(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            private.take_inputs_as_they_are(self)

        def call(self, inputs):
            self.seen = inputs
            return tf.constant(0.0)

    layer, given = Asks(), np.float64([1.0])
    layer(given)
    assert layer.seen is given


@check_of("all_layers")
def layers_at_any_depth():
    class Holder(keras.layers.Layer):
        def __init__(self, inner):
            super().__init__()
            self.inner = [inner]

        def call(self, inputs):
            return self.inner[0](inputs)

    inner = keras.layers.Dense(1)
    model = keras.Sequential([keras.Sequential([Holder(inner)])])
    assert inner in private.all_layers(model)


@check_of("outside_stateless_scope")
def variables_at_once_inside_a_trace():
    with keras.StatelessScope(), private.outside_stateless_scope():
        variable = keras.Variable(np.float32([1.0]))
        assert variable.value.numpy().tolist() == [1.0]


@check_of("loads_in_safe_mode")
def safe_mode_of_a_load(folder):
    seen = []

    @keras.saving.register_keras_serializable("test_compat")
    class Asks(keras.layers.Layer):
        @classmethod
        def from_config(cls, config):
            seen.append(private.loads_in_safe_mode())
            return cls(**config)

        def call(self, inputs):
            return inputs

    keras.Sequential([keras.Input((1,)), Asks()]).save(folder / "m.keras")
    for safe_mode in (True, False):
        keras.models.load_model(folder / "m.keras", safe_mode=safe_mode)
    assert seen == [True, False]


@check_of("forget_weights")
def a_second_build_has_no_weight_twice():
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    private.forget_weights(layer)
    assert layer.weights == []


@check_of("OwnLosses")
def losses_of_current_weights():
    layer = layer_of_scale(trainable=True)
    model = keras.Sequential([keras.Input((2,)), layer])
    assert [float(loss) for loss in model.losses] == [5.0]
    layer.variable_map["scale"].assign([1.0, 1.0])
    assert [float(loss) for loss in model.losses] == [2.0]


@check_of("DirectCalls")
def a_plain_call_is_not_prepared():
    class Counts(private.DirectCalls):
        def call(self, inputs, training=None):
            self.add_loss(tf.constant(1.0 if training else 0.0))
            return inputs

        def _open_name_scope(self):
            prepared.append(self)
            return super()._open_name_scope()

    prepared, layer, x = [], Counts(), tf.ones([1])
    layer(x)
    assert prepared
    prepared.clear()
    layer(x, training=True)
    assert not prepared
    assert [float(loss) for loss in layer.losses] == [1.0]
    layer(keras.Input((1,)))
    assert prepared


@check_of("DenseColumn", "DenseColumnV2", "trains_columns")
def columns_of_both_interfaces():
    def column_of(base):
        class Column(base):
            name, parents, variable_shape = "ones", ["x"], tf.TensorShape([2])
            parse_example_spec = _parse_example_spec = None
            _variable_shape, _is_v2_column = variable_shape, True

            def _transform_feature(self, inputs):
                return inputs.get("x")

            def _get_dense_tensor(self, inputs, weight_collections=None, trainable=None):
                return inputs.get(self) + tf.ones([2])

            def transform_feature(self, transformation_cache, state_manager):
                return transformation_cache.get("x", state_manager)

            def create_state(self, state_manager):
                trained.append(private.trains_columns(state_manager))

            def get_dense_tensor(self, transformation_cache, state_manager):
                return transformation_cache.get(self, state_manager) + tf.ones([2])

            def get_config(self):
                return {}

            @classmethod
            def from_config(cls, config, custom_objects=None, columns_by_name=None):
                return cls()

        return Column()

    trained, x = [], tf.constant([[1.0], [2.0]])
    for base in (private.DenseColumn, private.DenseColumnV2):
        for trainable in (False, True):
            layer = tf_keras.layers.DenseFeatures([column_of(base)], trainable=trainable)
            assert layer({"x": x}).numpy().tolist() == [[2.0, 2.0], [3.0, 3.0]]
    assert trained == [False, True] * 2
    with tf.Graph().as_default(), v1.Session() as session:
        dense = v1.feature_column.input_layer({"x": x.numpy()}, [column_of(private.DenseColumn)])
        assert session.run(dense).tolist() == [[2.0, 2.0], [3.0, 3.0]]


def public_names():
    return {
        name
        for name, member in inspect.getmembers(private)
        if not name.startswith("_") and getattr(member, "__module__", None) == private.__name__
    }


def test_each_has_a_check():
    assert set(CHECKS) == public_names()


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_still_does_what_it_says(name, tmp_path):
    check = CHECKS[name]
    try:
        check(tmp_path) if inspect.signature(check).parameters else check()
    except Exception as error:
        raise AssertionError(f"compat.{name} does not hold with {VERSIONS}") from error
