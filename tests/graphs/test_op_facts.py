"""Facts of a node that its op's definition tells."""

import pytest
import tensorflow as tf
from tensorflow.core.framework import node_def_pb2, op_def_pb2

from hub_keras_bridge import FormatError
from hub_keras_bridge.graphs.ops import definitions as op_facts

FLOAT, INT32, INT64 = (t.as_datatype_enum for t in (tf.float32, tf.int32, tf.int64))


def node(op, **types):
    made = node_def_pb2.NodeDef(name="n", op=op)
    for name, value in types.items():
        if isinstance(value, list):
            made.attr[name].list.type.extend(value)
        else:
            made.attr[name].type = value
    return made


def test_outputs_by_an_attribute():
    assert op_facts.output(node("Add", T=INT64), 0, {}) == ("z:0", INT64)


def test_outputs_of_fixed_types():
    norm = node("FusedBatchNormV3", T=FLOAT, U=FLOAT)
    found = [op_facts.output(norm, index, {}) for index in range(3)]
    assert found == [("y:0", FLOAT), ("batch_mean:0", FLOAT), ("batch_variance:0", FLOAT)]
    assert op_facts.output(node("Shape", T=FLOAT), 0, {}) == ("output:0", INT32)


def test_as_many_outputs_as_an_attribute_says():
    split = node("Split", T=FLOAT)
    split.attr["num_split"].i = 3
    assert [op_facts.output(split, i, {})[0] for i in range(3)] == [f"output:{i}" for i in range(3)]


def test_an_output_of_more_than_there_is_memory_for():
    split = node("Split", T=FLOAT)
    split.attr["num_split"].i = 1 << 62
    assert op_facts.output(split, (1 << 62) - 1, {}) == (f"output:{(1 << 62) - 1}", FLOAT)


def test_outputs_of_a_list_of_types():
    made = node("IdentityN", T=[FLOAT, INT32])
    assert op_facts.output(made, 0, {}) == ("output:0", FLOAT)
    assert op_facts.output(made, 1, {}) == ("output:1", INT32)


def test_outputs_of_the_graphs_own_function():
    signature = op_def_pb2.OpDef(name="f")
    signature.output_arg.add(name="first", type=INT64)
    signature.output_arg.add(name="second", type=FLOAT)
    found = [op_facts.output(node("f"), index, {"f": signature}) for index in (0, 1)]
    assert found == [("first:0", INT64), ("second:0", FLOAT)]


@pytest.mark.parametrize(("op", "index"), [("NoOp", 0), ("Shape", 1), ("Shape", -1)])
def test_no_such_output(op, index):
    with pytest.raises(FormatError, match=f"has no output {index}"):
        op_facts.output(node(op, T=FLOAT), index, {})


def test_attribute_or_its_default():
    reshape = node("Reshape", T=FLOAT)
    op = op_facts.definition(reshape, {})
    assert op_facts.attribute(reshape, op, "T").type == FLOAT
    assert op_facts.attribute(reshape, op, "Tshape").type == INT32


def test_attribute_that_is_nowhere():
    made = node("Add")
    with pytest.raises(FormatError, match="'n' of type Add lacks its attribute 'no'"):
        op_facts.attribute(made, op_facts.definition(made, {}), "no")


def test_op_that_is_not_registered():
    with pytest.raises(FormatError, match="NoSuchOp"):
        op_facts.output(node("NoSuchOp"), 0, {})


@pytest.mark.parametrize(
    ("op", "stateful"),
    [("Add", False), ("RandomUniform", True), ("AssignVariableOp", True), ("Assert", True)],
)
def test_is_stateful(op, stateful):
    assert op_facts.is_stateful(node(op), {}) is stateful


def test_a_function_is_stateful_if_it_says_so():
    made = node("f")
    assert op_facts.is_stateful(made, {"f": op_def_pb2.OpDef(name="f", is_stateful=True)})
    assert not op_facts.is_stateful(made, {"f": op_def_pb2.OpDef(name="f")})
