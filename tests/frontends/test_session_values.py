"""Values as a session takes them: what eval_function_for_module may be given."""

import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub

v1 = tf.compat.v1
Sparse, Ragged = v1.SparseTensorValue, v1.ragged.RaggedTensorValue
SPLITS = np.int64([0, 2, 3])

INPUTS = {
    "float": lambda: v1.placeholder(tf.float32, [None]),
    "int": lambda: v1.placeholder(tf.int32, [None]),
    "byte": lambda: v1.placeholder(tf.uint8, [None]),
    "bool": lambda: v1.placeholder(tf.bool, [None]),
    "text": lambda: v1.placeholder(tf.string, [None]),
    "number": lambda: v1.placeholder(tf.int32, []),
    "sparse": lambda: v1.sparse_placeholder(tf.float32, [None, 3]),
    "sparse_int": lambda: v1.sparse_placeholder(tf.int64),
    "sparse_text": lambda: v1.sparse_placeholder(tf.string),
    "ragged": lambda: v1.ragged.placeholder(tf.int64, 1, []),
    "ragged_float": lambda: v1.ragged.placeholder(tf.float32, 1, []),
    "ragged_text": lambda: v1.ragged.placeholder(tf.string, 1, []),
}


def module_fn():
    for name, make in INPUTS.items():
        x = make()
        dense = tf.sparse.to_dense(x) if isinstance(x, tf.SparseTensor) else x
        hub.add_signature(name, inputs=x, outputs=dense)


@pytest.fixture(scope="module")
def f():
    with hub.eval_function_for_module(hub.create_module_spec(module_fn)) as f:
        yield f


# What the original library computes of these.
@pytest.mark.parametrize(
    ("signature", "value", "expected"),
    [
        ("float", [1, 2], [1.0, 2.0]),
        ("float", [True, 2], [1.0, 2.0]),
        ("float", range(3), [0.0, 1.0, 2.0]),
        ("float", tf.TensorShape([1, 2]), [1.0, 2.0]),
        ("int", [1.0, 2.0], [1, 2]),
        ("int", [np.float64(1)], [1]),
        ("int", np.ones([2]), [1, 1]),
        ("byte", [True, False], [1, 0]),
        ("byte", range(3), [0, 1, 2]),
        ("byte", np.int64([255]), [255]),
        ("bool", [1, 0], [True, False]),
        ("text", ["a", "b"], [b"a", b"b"]),
        ("number", 3.0, 3),
        ("sparse", Sparse([[0, 0], [0, 2]], [2, 3], [1, 3]), [[2.0, 0.0, 3.0]]),
        ("sparse", Sparse(np.array([[0, 0]]), np.float64([2]), [1, 3]), [[2.0, 0.0, 0.0]]),
        ("sparse", Sparse(np.int32([[0, 1]]), [2], np.int32([1, 3])), [[0.0, 2.0, 0.0]]),
        ("sparse", ([[0, 0]], [2.5], [1, 3]), [[2.5, 0.0, 0.0]]),
        ("sparse", [[[0, 0]], [2], [1, 3]], [[2.0, 0.0, 0.0]]),
        ("sparse", Sparse(np.zeros([0, 2]), np.zeros([0]), [1, 3]), [[0.0, 0.0, 0.0]]),
        ("sparse_int", Sparse([[0, 1]], [2.0], [1, 2]), [[0, 2]]),
        ("sparse_text", Sparse([[0, 1]], ["a"], [1, 2]), [[b"", b"a"]]),
        ("ragged", Ragged(np.float32([1, 2, 3]), SPLITS), [[1, 2], [3]]),
        ("ragged", Ragged(np.int64([1, 2, 3]), np.int32(SPLITS)), [[1, 2], [3]]),
        ("ragged", v1.ragged.constant_value([[1, 2], [3]]), [[1, 2], [3]]),
        ("ragged_float", Ragged(np.int64([1, 2, 3]), SPLITS), [[1.0, 2.0], [3.0]]),
        ("ragged_text", v1.ragged.constant_value([[b"a"], []]), [[b"a"], []]),
    ],
)
def test_takes_what_a_session_takes(f, signature, value, expected):
    found = f(value, signature=signature)
    assert (found.to_list() if isinstance(found, Ragged) else found.tolist()) == expected


@pytest.mark.parametrize(
    ("signature", "value", "found"),
    [
        # A session would cut these to other values, without a word.
        ("int", [1.5], "values of dtype float64"),
        ("int", [2**40], "values of dtype int64"),
        ("byte", [-1], "values of dtype int64"),
        ("bool", [2], "values of dtype int64"),
        ("float", [1j], "values of dtype complex128"),
        ("float", [1.0, None], "list of object"),
        ("float", ["1"], "values of dtype <U1"),
        ("sparse_int", Sparse([[0, 1]], [2.5], [1, 2]), "values of dtype float64"),
        ("ragged", Ragged(np.float32([1.5]), np.int64([0, 1])), "values of dtype float32"),
        # A session takes these as they are, and the module computes on what is no value.
        ("sparse", Sparse([[0, 0]], [2.0, 3.0], [1, 3]), "SparseTensorValue"),
        ("sparse", Sparse([[0, 0]], [2.0], [1, 4]), "SparseTensorSpec(TensorShape([1, 4])"),
        ("ragged", Ragged(np.int64([1, 2]), np.int64([0, 9])), "RaggedTensorValue"),
        # A session refuses these.
        ("int", ["a"], "values of dtype <U1"),
        ("text", [1], "list of int64"),
        ("float", [[1], [2, 3]], "uneven rows"),
        ("float", object(), "object"),
        ("sparse", Sparse([], [], [1, 3]), "SparseTensorValue"),
        ("float", Sparse([[0, 0]], [2.0], [1, 3]), "SparseTensorValue"),
        ("float", Ragged(np.float32([1.0]), np.int64([0, 1])), "RaggedTensor"),
    ],
)
def test_refuses(f, signature, value, found):
    with pytest.raises(hub.InputError, match="input 'default' of a TF1 Hub module") as caught:
        f(value, signature=signature)
    assert found in caught.value.found
    assert caught.value.subject.signature == signature


@pytest.mark.parametrize(
    ("signature", "make"),
    [
        ("float", lambda: tf.constant([1.0])),
        ("float", lambda: v1.get_variable("v", [1])),
        ("float", lambda: v1.get_variable("v", [1], use_resource=False)),
        ("float", lambda: [tf.constant(1.0), 2.0]),
        ("sparse", lambda: tf.sparse.from_dense([[1.0]])),
        ("ragged", lambda: tf.ragged.constant([[1]], tf.int64)),
    ],
)
def test_refuses_what_has_no_value_yet(f, signature, make):
    with tf.Graph().as_default():
        value = make()
    with pytest.raises(hub.InputError, match="on a graph tensor"):
        f(value, signature=signature)


def test_eager_tensors(f):
    assert f(tf.constant([1.0]), signature="float").tolist() == [1.0]
    assert f(tf.Variable([1.0]), signature="float").tolist() == [1.0]
    assert f([tf.constant(1.0), 2], signature="float").tolist() == [1.0, 2.0]
    assert f(tf.sparse.from_dense([[0.0, 1.0, 0.0]]), signature="sparse").tolist() == [[0, 1, 0]]
    ragged = tf.ragged.constant([[1], []], tf.int64)
    assert f(ragged, signature="ragged").to_list() == [[1], []]
