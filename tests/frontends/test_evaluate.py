"""Modules as functions from values to values."""

import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.golden import Golden, golden_names

v1 = tf.compat.v1


@pytest.fixture
def session():
    """A graph with a session, the defaults of the test."""
    with tf.Graph().as_default(), v1.Session() as session:
        yield session


@pytest.mark.parametrize("name", golden_names("apply"))
def test_of_goldens(name):
    golden = Golden(name)
    for call in golden.calls():
        entry = golden.oracle["apply"][call]
        with hub.eval_function_for_module(golden.path, entry["tags"]) as evaluate:
            for _ in range(2):
                found = evaluate(golden.inputs(call), entry["signature"], as_dict=True)
        for key, expected in golden.outputs(call).items():
            if expected.dtype.kind == "f":
                np.testing.assert_allclose(found[key], expected, rtol=0, atol=1e-5)
            else:
                np.testing.assert_array_equal(found[key], expected)


def test_takes_what_a_session_returns():
    golden = Golden("sparse_ragged")
    with hub.eval_function_for_module(golden.path) as evaluate:
        ragged = evaluate([[1, 2], [3]], "ragged")
        again = evaluate(ragged, "ragged", as_dict=True)
        sparse = v1.SparseTensorValue([[0, 1]], [2.0], [1, 9])
        dense = np.float32([[0, 2, 0, 0, 0, 0, 0, 0, 0]])
        np.testing.assert_array_equal(evaluate(sparse), evaluate(dense))
    assert [len(row) for row in again["default"].to_list()] == [2, 1]


def test_leaves_the_default_session_alone(scale_path, session):
    constant = tf.constant(5.0)
    with hub.eval_function_for_module(scale_path) as evaluate:
        assert constant.eval() == 5.0
        with pytest.raises(hub.InputError, match="on a graph tensor"):
            evaluate(constant)


def test_without_eager_execution_around(scale_path, session):
    with hub.eval_function_for_module(scale_path) as evaluate:
        assert evaluate([[1, 2]]).tolist() == [[3, 6]]
    assert v1.get_default_graph().get_operations() == []
