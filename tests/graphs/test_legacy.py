"""Reference variables and tables of early TensorFlow 1."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import hub_keras_bridge as hub
from helpers.tf1_reference import X, assert_same, in_layer, in_session, publish, v1, weights
from hub_keras_bridge.files.module_folder import ModuleFiles
from hub_keras_bridge.graphs.legacy import modernize

START = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]


def variable(name="v", start=START, **options):
    value = np.float32(start)
    return v1.get_variable(
        name, value.shape, initializer=v1.constant_initializer(value), trainable=False, **options
    )


def check(build):
    """Fails unless a layer does what a session does with reference variables."""
    spec = publish(build, {"x": X}, use_resource=False)
    assert "VariableV2" in ops_of(spec.variant(()).published)
    assert "VariableV2" not in ops_of(spec.variant(()).meta_graph)
    assert_same(in_layer(spec, {"x": X})[0], in_session(spec, {"x": X})[0])


def ops_of(meta_graph):
    return {node.op for node in meta_graph.graph_def.node}


def module_with_ops(spec, renamed):
    """The same module, its ops under the names that older TensorFlow gave them."""
    saved_model = saved_model_pb2.SavedModel()
    saved_model.CopyFrom(spec.files.saved_model)
    found = set()
    for meta_graph in saved_model.meta_graphs:
        for node in meta_graph.graph_def.node:
            if node.op in renamed:
                found.add(node.op)
                node.op = renamed[node.op]
    assert found == set(renamed)
    return hub.ModuleSpec(
        ModuleFiles(name="old", saved_model=saved_model, assets=spec.files.assets)
    )


# --- assignments ---

ROWS = [2, 0]
VALUES = [[10.0, 20.0], [30.0, 40.0]]
PLACES = [[2, 1], [0, 0]]

ASSIGNMENTS = {
    "assign": lambda v: v1.assign(v, tf.ones([3, 2])),
    "assign_add": lambda v: v1.assign_add(v, tf.ones([3, 2])),
    "assign_sub": lambda v: v1.assign_sub(v, tf.ones([3, 2])),
    "scatter_update": lambda v: v1.scatter_update(v, ROWS, VALUES),
    "scatter_add": lambda v: v1.scatter_add(v, ROWS, VALUES),
    "scatter_add_with_a_row_twice": lambda v: v1.scatter_add(v, [1, 1], VALUES),
    "scatter_sub": lambda v: v1.scatter_sub(v, ROWS, VALUES),
    "scatter_mul": lambda v: v1.scatter_mul(v, ROWS, VALUES),
    "scatter_div": lambda v: v1.scatter_div(v, ROWS, VALUES),
    "scatter_min": lambda v: v1.scatter_min(v, ROWS, VALUES),
    "scatter_max": lambda v: v1.scatter_max(v, ROWS, VALUES),
    "scatter_with_wide_indices": lambda v: v1.scatter_add(v, tf.constant(ROWS, tf.int64), VALUES),
    "scatter_nd_update": lambda v: v1.scatter_nd_update(v, PLACES, [10.0, 20.0]),
    "scatter_nd_add": lambda v: v1.scatter_nd_add(v, PLACES, [10.0, 20.0]),
    "scatter_nd_sub": lambda v: v1.scatter_nd_sub(v, PLACES, [10.0, 20.0]),
}


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_result_of_an_assignment(name):
    def build(x):
        return x * weights() + tf.reduce_sum(ASSIGNMENTS[name](variable()), 0)

    check(build)


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_assignment_as_update(name):
    def build(x):
        v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, ASSIGNMENTS[name](variable()))
        return x * weights()

    check(build)


def test_value_assigned_is_that_of_another_variable():
    def build(x):
        target, source = variable(), variable("source", np.float32(START) * 3)
        return x + tf.reduce_sum(v1.assign(target, source), 0)

    check(build)


def test_variable_assigned_its_own_value():
    check(lambda x: x + tf.reduce_sum(v1.assign_add(v := variable(), v * 2.0), 0))


# --- the order of reads ---


def test_chain_of_assignments():
    def build(x):
        v = variable()
        last = v1.assign_sub(v1.scatter_add(v1.assign(v, v * 2.0), ROWS, VALUES), tf.ones([3, 2]))
        return x + tf.reduce_sum(last, 0)

    check(build)


def test_read_waits_for_what_it_is_told_to():
    def build(x):
        v = variable()
        before = v + 0.0  # In TF1 an Identity would be the variable's own memory.
        with tf.control_dependencies([before]):
            assigned = v1.assign_add(v, tf.ones([3, 2]))
        with tf.control_dependencies([assigned]):
            after = v.read_value()
        return x * tf.reduce_sum(before, 0) + tf.reduce_sum(after, 0)

    check(build)


def test_op_that_takes_the_reference_itself_waits():
    def build(x):
        v = variable()
        with tf.control_dependencies([v1.assign_add(v, tf.ones([3, 2]))]):
            total = tf.raw_ops.AddV2(x=v.op.outputs[0], y=v.op.outputs[0])
        return x + tf.reduce_sum(total, 0)

    check(build)


def test_each_reader_of_a_reference_reads_by_itself():
    def build(x):
        v = variable()
        reference = v.op.outputs[0]
        first = tf.raw_ops.Square(x=reference)
        with tf.control_dependencies([first]):
            assigned = v1.assign_add(v, tf.ones([3, 2]))
        with tf.control_dependencies([assigned]):
            second = tf.raw_ops.Square(x=reference)
        return x + tf.reduce_sum(second - first, 0)

    check(build)


def test_is_variable_initialized():
    def build(x):
        known = v1.is_variable_initialized(variable())
        return x * tf.cast(known, tf.float32) * weights()

    check(build)


# --- variables ---


def test_weights_are_trained_by_gradients_through_references():
    check(lambda x: tf.nn.relu(x @ weights()) + weights()[0])


def test_output_that_is_the_variable_itself():
    def module_fn():
        with v1.variable_scope("", use_resource=False):
            v = variable()
        x = v1.placeholder(tf.float32, [None, 2])
        hub.add_signature(inputs=x, outputs={"default": v.op.outputs[0], "twice": x * 2.0})
        hub.add_signature("again", inputs=x, outputs={"default": v.op.outputs[0]})

    spec = hub.create_module_spec(module_fn)
    for signature in ("default", "again"):
        layer = hub.ModuleLayer(spec, signature=signature)
        np.testing.assert_array_equal(layer(X), START)
    layer.variable_map["v"].assign(np.zeros([3, 2]))
    np.testing.assert_array_equal(layer(X), np.zeros([3, 2]))


def test_output_that_is_an_assignment():
    def module_fn():
        with v1.variable_scope("", use_resource=False):
            v = variable()
        x = v1.placeholder(tf.float32, [None, 2])
        hub.add_signature(inputs=x, outputs=v1.assign_add(v, tf.ones([3, 2])))

    layer = hub.ModuleLayer(hub.create_module_spec(module_fn))
    np.testing.assert_array_equal(layer(X), np.float32(START) + 1)
    np.testing.assert_array_equal(layer(X), np.float32(START) + 2)


def test_partitioned_variable():
    def build(x):
        with v1.variable_scope("", partitioner=v1.fixed_size_partitioner(2)):
            table = v1.get_variable("table", [4, 2], initializer=v1.ones_initializer())
        return x * tf.nn.embedding_lookup(table, [1, 3])

    spec = publish(build, {"x": X}, use_resource=False)
    (expected,) = in_session(spec, {"x": X})
    np.testing.assert_array_equal(hub.ModuleLayer(spec)(X), expected.output)


def test_variable_op_of_the_first_generation():
    def build(x):
        return x @ weights() + tf.reduce_sum(v1.assign_add(variable(), tf.ones([3, 2])), 0)

    spec = publish(build, {"x": X}, use_resource=False)
    (expected,) = in_session(spec, {"x": X})
    assert_same(in_layer(module_with_ops(spec, {"VariableV2": "Variable"}), {"x": X})[0], expected)


def test_op_without_counterpart_is_named():
    def build(x):
        counter = v1.get_variable(
            "n", [], tf.int32, initializer=v1.zeros_initializer(), trainable=False
        )
        return x * tf.cast(v1.count_up_to(counter, 3), tf.float32)

    with pytest.raises(hub.UnknownOpError, match="CountUpTo"):
        hub.ModuleLayer(publish(build, {"x": X}, use_resource=False))


# --- tables ---


def lookup(make_table):
    def module_fn():
        words = v1.placeholder(tf.string, [None])
        hub.add_signature(inputs=words, outputs=make_table().lookup(words))

    return hub.create_module_spec(module_fn)


def test_table_from_constants():
    def table():
        pairs = tf.lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([5, 6], tf.int64))
        return tf.lookup.StaticHashTable(pairs, -1)

    old = module_with_ops(
        lookup(table),
        {
            "HashTableV2": "HashTable",
            "LookupTableImportV2": "InitializeTable",
            "LookupTableFindV2": "LookupTableFind",
        },
    )
    _keep_key_and_value_types(old)
    np.testing.assert_array_equal(hub.ModuleLayer(old)(["b", "?", "a"]), [6, -1, 5])


def _keep_key_and_value_types(spec):
    """Names the types of InitializeTable as its own definition does."""
    for meta_graph in spec.files.saved_model.meta_graphs:
        for node in meta_graph.graph_def.node:
            if node.op == "InitializeTable":
                for old, new in (("Tin", "Tkey"), ("Tout", "Tval")):
                    node.attr[new].CopyFrom(node.attr[old])
                    del node.attr[old]


def test_table_from_a_file(tmp_path):
    file = tmp_path / "vocabulary.txt"
    file.write_text("zero\none\ntwo\n")

    def table():
        lines = tf.lookup.TextFileInitializer(
            str(file),
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        )
        return tf.lookup.StaticVocabularyTable(lines, 1)

    old = module_with_ops(
        lookup(table),
        {
            "HashTableV2": "HashTable",
            "InitializeTableFromTextFileV2": "InitializeTableFromTextFile",
            "LookupTableFindV2": "LookupTableFind",
            "LookupTableSizeV2": "LookupTableSize",
        },
    )
    np.testing.assert_array_equal(hub.ModuleLayer(old)(["two", "?", "zero"]), [2, 3, 0])


def test_table_that_is_written():
    def module_fn():
        words = v1.placeholder(tf.string, [None])
        table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
        with tf.control_dependencies([table.insert(words, tf.range(5, 7, dtype=tf.int64))]):
            hub.add_signature(inputs=words, outputs=table.lookup(tf.constant(["b", "c"])))

    old = module_with_ops(
        hub.create_module_spec(module_fn, drop_collections=["saveable_objects"]),
        {
            "MutableHashTableV2": "MutableHashTable",
            "LookupTableInsertV2": "LookupTableInsert",
            "LookupTableFindV2": "LookupTableFind",
        },
    )
    np.testing.assert_array_equal(hub.ModuleLayer(old)(["a", "b"]), [6, -1])


# --- modernize ---


def test_nothing_to_do():
    published = publish(lambda x: x @ weights(), {"x": X}).variant(()).published
    assert modernize(published) is published


def test_the_original_is_not_changed():
    published = publish(lambda x: x @ weights(), {"x": X}, use_resource=False)
    published = published.variant(()).published
    copy = type(published).FromString(published.SerializeToString())
    assert modernize(published) != published
    assert published == copy


def test_reference_as_an_output():
    """The original library publishes such a module, and notes the reference's dtype."""

    def module_fn():
        x = v1.placeholder(tf.float32, [None])
        variable = v1.Variable([1.0, 2.0], use_resource=False)
        hub.add_signature(inputs=x, outputs={"default": 2.0 * x, "value": variable._ref()})

    spec = hub.create_module_spec(module_fn)
    assert spec.get_output_info_dict()["value"].dtype == tf.float32
    layer = hub.ModuleLayer(spec, output_key="value")
    symbol = layer(keras.Input(()))
    assert (symbol.shape, symbol.dtype) == ((2,), "float32")
    np.testing.assert_array_equal(layer([5.0]), [1.0, 2.0])
