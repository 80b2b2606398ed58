"""Private names of TensorFlow: a failure here says which version broke which."""

import subprocess
import sys

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import struct_pb2

from helpers.checks import Checks
from hub_keras_bridge.compat import tensorflow as private_tf

v1 = tf.compat.v1
CHECKS = Checks(private_tf)


@CHECKS.of("op_def")
def registered_ops():
    definition = private_tf.op_def("MatMul")
    assert [argument.name for argument in definition.input_arg] == ["a", "b"]
    assert private_tf.op_def("Assign").input_arg[0].is_ref
    assert private_tf.op_def("Unheard") is None


@CHECKS.of("decode_type_spec", "encode_type_spec")
def type_specs():
    for spec in (tf.SparseTensorSpec([None, 2]), tf.RaggedTensorSpec([None, None], tf.int64)):
        assert private_tf.decode_type_spec(private_tf.encode_type_spec(spec)) == spec


@CHECKS.of("decode_structure")
def nests():
    spec = tf.SparseTensorSpec([None, 2])
    proto = struct_pb2.StructuredValue()
    values = proto.tuple_value.values
    values.add().type_spec_value.CopyFrom(private_tf.encode_type_spec(spec))
    values.add().none_value.SetInParent()
    assert private_tf.decode_structure(proto) == (spec, None)


@CHECKS.of("function_of", "know_calls", "name_of")
def functions_of_definitions():
    """A call of them is mapped over, and differentiated twice."""
    definition = tf.function(lambda x: x**3).get_concrete_function(tf.TensorSpec([])).function_def
    definition.signature.name = "cube_of_the_check"
    made = private_tf.function_of(definition, [])
    x = tf.constant(2.0)

    def call(x):
        graph_def = tf.Graph().as_graph_def()
        node = graph_def.node.add(name="call", op="PartitionedCall", input=["x"])
        node.attr["f"].func.name = private_tf.name_of(made)
        for name in "Tin", "Tout":
            node.attr[name].list.type.append(tf.float32.as_datatype_enum)
        given = graph_def.node.add(name="x", op="Placeholder")
        given.attr["dtype"].type = tf.float32.as_datatype_enum
        made.add_to_graph()
        tf.graph_util.import_graph_def(graph_def, {"x": x}, name="in")
        graph = v1.get_default_graph()
        private_tf.know_calls(graph.get_operations(), [made])
        return graph.get_tensor_by_name("in/call:0")

    wrapped = v1.wrap_function(call, [tf.TensorSpec([])])
    with tf.GradientTape() as outer, tf.GradientTape() as inner:
        outer.watch(x)
        inner.watch(x)
        slope = inner.gradient(wrapped(x), x)
    assert outer.gradient(slope, x).numpy() == 12.0
    assert tf.vectorized_map(wrapped, tf.constant([1.0, 2.0])).numpy().tolist() == [1.0, 8.0]


@CHECKS.of("called_directly")
def direct_calls_of_functions():
    scale = tf.Variable(3.0)
    function = private_tf.wrap_function(lambda x: [x * scale, x], [tf.TensorSpec([2])])
    tripled, same = private_tf.called_directly(function)(tf.constant([1.0, 2.0]))
    assert (tripled.numpy().tolist(), same.numpy().tolist()) == ([3.0, 6.0], [1.0, 2.0])
    assert private_tf.called_directly(len) is len


@CHECKS.of("Frozen", "with_constants")
def functions_without_variables():
    scale = tf.Variable(3.0)
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer([1], [5]), default_value=0
    )

    def run(x, key):
        return scale * x, table.lookup(key)

    specs = [tf.TensorSpec([None]), tf.TensorSpec([None], tf.int32)]
    function = tf.function(run, autograph=False).get_concrete_function(*specs)
    frozen = private_tf.with_constants(function)
    ops = {node.op for node in frozen.graph_def.node}
    assert not ops & {"ReadVariableOp", "StatefulPartitionedCall", "PartitionedCall"}
    assert "LookupTableFindV2" in ops
    assert len(frozen.inputs) == len(frozen.outputs) == 2
    (handle,) = frozen.outside.values()
    assert handle is table.resource_handle


@CHECKS.of("eager_mode")
def eager_inside_a_graph():
    with tf.Graph().as_default(), private_tf.eager_mode():
        assert tf.constant(1.0).numpy() == 1.0


@CHECKS.of("set_initializer")
def initialized_by_an_op():
    variable = tf.Variable(3.0)
    with tf.Graph().as_default() as graph, v1.Session() as session:
        private_tf.set_initializer(variable, tf.no_op("start"))
        initializer = v1.variables_initializer([variable])
        assert [op.name for op in initializer.control_inputs] == ["start"]
        session.run(initializer)
    assert graph.get_operation_by_name("start") is variable.initializer


@CHECKS.of("enter_v1_context")
def tensors_enter_loops():
    def body(i):
        entered.append(private_tf.enter_v1_context(outside))
        return i + 1

    entered = []
    v1.disable_control_flow_v2()
    try:
        with tf.Graph().as_default():
            outside = tf.constant(1.0)
            assert private_tf.enter_v1_context(outside) is outside
            v1.while_loop(lambda i: i < 2, body, [0])
    finally:
        v1.enable_control_flow_v2()
    assert [(tensor.op.type, tensor.op.inputs[0] is outside) for tensor in entered] == [
        ("Enter", True)
    ]


@CHECKS.of("capture", "capture_variable", "wrap_function")
def captured_values():
    variable, constant = tf.Variable(3.0), tf.constant(4.0)

    def body(x):
        handle = private_tf.capture_variable(variable, watch=True)
        return [x * tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.float32)
                + private_tf.capture(constant)]  # fmt: skip

    function = private_tf.wrap_function(body, [tf.TensorSpec([], tf.float32)])
    with tf.GradientTape() as tape:
        (y,) = function(tf.constant(2.0))
    assert y.numpy() == 10.0
    assert tape.gradient(y, variable).numpy() == 2.0


@CHECKS.of("tape_records")
def a_tape_that_is_open():
    assert not private_tf.tape_records()
    with tf.GradientTape():
        assert private_tf.tape_records()
        assert tf.function(private_tf.tape_records)()
    assert not private_tf.tape_records()


@CHECKS.of("mention_variables")
def variables_listed_but_not_seen_by_a_tape():
    variable = tf.Variable(3.0)

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
    def function(x):
        with tf.GradientTape() as tape:
            private_tf.mention_variables([variable])
            assert not tape.watched_variables()
        return x

    assert function.get_concrete_function().variables == (variable,)


@CHECKS.of("runs_eagerly")
def knows_that_ops_have_run():
    code = (
        "from hub_keras_bridge.compat import tensorflow as private_tf; import tensorflow as tf;"
        "print(private_tf.runs_eagerly()); tf.constant(1.0); print(private_tf.runs_eagerly())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


@CHECKS.of("global_seed")
def the_seed_that_was_set():
    tf.random.set_seed(7)
    assert private_tf.global_seed() == 7


@CHECKS.of("local_replica")
def number_of_the_replica():
    seen = []
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    with strategy.scope():
        assert private_tf.local_replica() is None
    strategy.run(lambda: seen.append(private_tf.local_replica()))
    assert seen == [0]


@CHECKS.of("inside_xla")
def knows_that_it_is_compiled():
    seen = []

    def note(x):
        seen.append(private_tf.inside_xla())
        return x

    for jit_compile in (False, True):
        tf.function(note, jit_compile=jit_compile)(tf.constant(1.0))
    assert seen == [False, True]


@CHECKS.of("xla_kernels")
def kernels_of_xla():
    assert private_tf.xla_kernels("MatMul", "XLA_CPU_JIT")
    assert not private_tf.xla_kernels("StringJoin", "XLA_CPU_JIT")


@CHECKS.of("announce_variables")
def variables_of_a_function_are_told():
    variable = tf.Variable(3.0)
    function = private_tf.wrap_function(
        lambda: [
            tf.raw_ops.ReadVariableOp(
                resource=private_tf.capture_variable(variable, watch=True), dtype=tf.float32
            )
        ],
        [],
    )

    def call(x):
        private_tf.announce_variables(function)
        return x * function()[0]

    with tf.GradientTape() as tape:
        y = tf.recompute_grad(call)(tf.constant(2.0))
    assert tape.gradient(y, variable).numpy() == 2.0


@CHECKS.of("inside_v1_loop")
def knows_that_it_is_in_a_loop():
    seen = []

    def body(i):
        seen.append(private_tf.inside_v1_loop())
        return v1.cond(
            i > 0, lambda: seen.append(private_tf.inside_v1_loop()) or i + 1, lambda: i + 1
        )

    v1.disable_control_flow_v2()
    try:
        with tf.Graph().as_default():
            assert not private_tf.inside_v1_loop()
            v1.while_loop(lambda i: i < 2, body, [0])
            v1.cond(
                tf.constant(True), lambda: seen.append(private_tf.inside_v1_loop()) or 1, lambda: 2
            )
    finally:
        v1.enable_control_flow_v2()
    assert seen == [True, True, False]


@CHECKS.of("colocate")
def groups_and_devices_of_others():
    with tf.Graph().as_default():
        with tf.device("/device:CPU:1"):
            other = tf.constant(1.0, name="other").op
        with tf.device("/device:CPU:0"):
            op = tf.constant(2.0).op
        private_tf.colocate(op, [other])
        assert op.colocation_groups() == [b"loc:@other"]
        assert op.device == other.device


@CHECKS.of("track_child")
def children_are_saved(folder):
    vocabulary = folder / "words.txt"
    vocabulary.write_text("a\n")
    root, table = tf.Module(), tf.Module()
    root.table = table
    private_tf.track_child(table, tf.saved_model.Asset(str(vocabulary)), "asset_0")
    tf.saved_model.save(root, str(folder / "saved"))
    assert (folder / "saved" / "assets" / "words.txt").exists()


def test_each_has_a_check():
    assert CHECKS.unchecked() == set()


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_still_does_what_it_says(name, tmp_path):
    CHECKS.run(name, tmp_path)
