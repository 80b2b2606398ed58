"""Conversion of a call's values to the tensors of a signature."""

import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from hub_keras_bridge.errors import Subject
from hub_keras_bridge.facts.feeding import Slot
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo

SUBJECT = Subject("/m", frozenset(), "default")


def dense(dtype, shape=(None,)):
    return ParsedTensorInfo(tf.TensorSpec(shape, dtype), ("x:0",))


def convert(value, info):
    return Slot("x", info, SUBJECT).tensors(value)


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        ([1, 2], tf.float32, np.float32([1, 2])),
        (np.float64([1.5]), tf.float32, np.float32([1.5])),
        (np.int64([1, 2]), tf.int32, np.int32([1, 2])),
        ([0.1], tf.float64, np.float64([0.1])),
        (["a", "b"], tf.string, np.array([b"a", b"b"], object)),
        (np.array(["a", "ü"], object), tf.string, np.array([b"a", "ü".encode()], object)),
        ([True], tf.bool, np.array([True])),
        ([1 + 2j], tf.complex64, np.complex64([1 + 2j])),
        (tf.constant([1.5], tf.float16), tf.float32, np.float32([1.5])),
        (tf.constant([1.5], tf.float32), tf.float64, np.float64([1.5])),
        (tf.constant([7], tf.int32), tf.int64, np.int64([7])),
        (tf.Variable([2.0]), tf.float32, np.float32([2.0])),
        (tf.Variable([2.0]), tf.float64, np.float64([2.0])),
        (np.array([1, 2], object), tf.int32, np.int32([1, 2])),
        ([127, -128], tf.int8, np.int8([127, -128])),
        ([2**40], tf.int64, np.int64([2**40])),
        (np.array([1.0, -2.0]), tf.int32, np.int32([1, -2])),
        (np.float16([3.0]), tf.int64, np.int64([3])),
        (np.array([255, 0]), tf.uint8, np.uint8([255, 0])),
        (np.array([1, 0]), tf.bool, np.array([True, False])),
        (np.zeros([0]), tf.int32, np.int32([])),
        (np.array([1.0], ">f4"), tf.int32, np.int32([1])),
        (tf.constant([7, -7], tf.int64), tf.int32, np.int32([7, -7])),
        (tf.constant([0, 255], tf.uint8), tf.float32, np.float32([0, 255])),
        (tf.constant([2**24]), tf.float32, np.float32([2**24])),
        (tf.constant([0.5, np.inf], tf.float64), tf.float32, np.float32([0.5, np.inf])),
        (tf.constant([3.0]), tf.int32, np.int32([3])),
        (tf.constant([True]), tf.float32, np.float32([1])),
        (tf.constant([1, 0]), tf.bool, np.array([True, False])),
        (tf.constant([1.5]), tf.complex64, np.complex64([1.5])),
        (tf.constant([1 + 2j]), tf.complex64, np.complex64([1 + 2j])),
        (tf.Variable([3.0]), tf.int32, np.int32([3])),
        (tf.constant([], tf.int64), tf.int32, np.int32([])),
        (np.ma.array([1.0, 2.0], mask=[0, 1]), tf.int32, np.int32([1, 2])),
        ([tf.constant(1.0), 2], tf.float32, np.float32([1, 2])),
    ],
)
def test_converts_without_loss(value, dtype, expected):
    (found,) = convert(value, dense(dtype))
    assert found.dtype == dtype
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize(
    ("value", "dtype", "found"),
    [
        (
            tf.constant([0.5, 0.1], tf.float64),
            tf.float32,
            "float64 with the value 0.1, which float32",
        ),
        (tf.constant([1, 2**40], tf.int64), tf.int32, "int64 with the value 1099511627776, which"),
        (tf.constant([2**24 + 1]), tf.float32, "int32 with the value 16777217, which float32"),
        (tf.constant([1.5]), tf.int32, "float32 with the value 1.5, which int32 does not hold"),
        (tf.constant([-1], tf.int8), tf.uint16, "int8 with the value -1, which uint16"),
        (tf.constant([2]), tf.bool, "int32 with the value 2, which bool does not hold"),
        (tf.constant([0.1], tf.complex128), tf.complex64, "complex128 with the value 0.1, which"),
        (tf.constant([1j], tf.complex64), tf.float32, "dtype complex64"),
        (tf.constant(["1"]), tf.int32, "dtype string"),
        (tf.constant([1]), tf.string, "dtype int32"),
        ([1.5], tf.int32, "list of float64, shape [1]"),
        (["a"], tf.float32, "list of <U1"),
        ([1.0], tf.string, "list of float64"),
        (np.array([1.5]), tf.int32, "float64"),
        (np.array([2**40]), tf.int32, "int64"),
        (np.array([1.0, np.nan]), tf.int32, "float64"),
        (np.array([1e30]), tf.int64, "float64"),
        (np.array([2]), tf.bool, "int64"),
        (np.array(["2020-01-01"], "datetime64[D]"), tf.float32, "datetime64[D]"),
        (range(3), tf.string, "range of int64, shape [3]"),
        ([tf.constant(1.0)], tf.string, "list of tensors"),
        (np.array([-1]), tf.uint8, "int64"),
        ([2**40], tf.int32, "list of int64, shape [1]"),
        ((-1,), tf.uint8, "tuple of int64, shape [1]"),
        (300, tf.int8, "int of int64, shape []"),
        ([2**70], tf.int64, "list of object, shape [1]"),
        (tf.Variable([1.5]), tf.int32, "float32 with the value 1.5"),
        (np.array([1j]), tf.float32, "complex128"),
        (np.array(["1"]), tf.int32, "<U1"),
        (np.array([object()]), tf.string, "object"),
        (np.array(["1"], object), tf.int32, "list of <U1"),
        (np.array([1.5], object), tf.int32, "list of float64"),
        (np.array([2**40], object), tf.int32, "list of int64"),
        (tf.ragged.constant([[1.0]]), tf.float32, "RaggedTensor"),
        (tf.sparse.from_dense([1.0]), tf.float32, "SparseTensor"),
        ([[1.0], [2.0, 3.0]], tf.float32, "list of uneven rows"),
    ],
)
def test_refuses_what_would_lose_something(value, dtype, found):
    with pytest.raises(hub.InputError) as caught:
        convert(value, dense(dtype))
    text = str(caught.value)
    assert "Cannot feed input 'x'" in text
    assert "module '/m', tags {}, signature 'default'" in text
    assert f"Expected: {dtype.name} [?]" in text
    assert found in text


def test_no_value():
    with pytest.raises(hub.InputError, match=r"Found: no value \(None\)"):
        convert(None, dense(tf.float32))


def test_as_the_original_library():
    """Which converts no tensor, not even one whose dtype is wider."""
    slot = Slot("x", dense(tf.float32), SUBJECT, converts=False)
    with tf.Graph().as_default():
        variable = tf.compat.v1.get_variable("v", [2], tf.float64)
        for value in (variable, tf.constant([1], tf.uint8), tf.constant([1.0], tf.float16)):
            with pytest.raises(hub.InputError, match=f"Found: dtype {value.dtype.name}"):
                slot.tensors(value)
        assert slot.tensors(np.uint8([1]))[0].dtype == tf.float32


@pytest.mark.parametrize("shape", [[2, 4], [3], [1, 2, 3]])
def test_refuses_other_shapes(shape):
    with pytest.raises(hub.InputError, match=r"Expected: float32 \[\?, 3\]"):
        convert(np.zeros(shape), dense(tf.float32, (None, 3)))


@pytest.mark.parametrize(
    "value", [[1, 2], 3, [["a"]], np.array([[1.5]]), tf.constant(1.5), [tf.constant([1.5])]]
)
def test_ragged_from_what_is_not(value):
    info = ParsedTensorInfo(tf.RaggedTensorSpec([None, None], tf.int64), ("a:0", "b:0"))
    with pytest.raises(hub.InputError, match="Expected: ragged int64"):
        convert(value, info)


@pytest.mark.parametrize("value", [[[1], [300, 2]], np.array([[300]]), [[-1]]])
def test_ragged_that_would_wrap(value):
    info = ParsedTensorInfo(tf.RaggedTensorSpec([None, None], tf.uint8), ("a:0", "b:0"))
    with pytest.raises(hub.InputError, match="Expected: ragged uint8"):
        convert(value, info)


@pytest.mark.parametrize("value", [[[1, 2]], np.int64([[1, 2]]), np.float64([[1, 2]])])
def test_ragged_of_other_dtypes(value):
    """Lists and arrays, and tensors dense and ragged."""
    info = ParsedTensorInfo(tf.RaggedTensorSpec([None, None], tf.int32), ("a:0", "b:0"))
    for given in (value, tf.constant(value), tf.RaggedTensor.from_tensor(tf.constant(value))):
        found, _ = convert(given, info)
        assert (found.dtype, found.numpy().tolist()) == (tf.int32, [1, 2])


def test_sparse_of_other_dtypes():
    info = ParsedTensorInfo(tf.SparseTensorSpec([None, 2], tf.int32), ("i:0", "v:0", "s:0"))
    for given in (np.int64([[0, 5]]), tf.sparse.from_dense(np.int64([[0, 5]]))):
        assert convert(given, info)[1].dtype == tf.int32
    with pytest.raises(hub.InputError, match="int64 with the value 1099511627776"):
        convert(tf.sparse.from_dense(np.int64([[0, 2**40]])), info)


def test_ragged_from_sparse():
    info = ParsedTensorInfo(tf.RaggedTensorSpec([None, None], tf.int64), ("a:0", "b:0"))
    sparse = tf.sparse.from_dense(tf.constant([[1, 2]], tf.int64))
    with pytest.raises(hub.InputError, match=r"tf.RaggedTensor.from_sparse\(value\)"):
        convert(sparse, info)
    assert convert(tf.RaggedTensor.from_sparse(sparse), info)[0].numpy().tolist() == [1, 2]


def test_ragged_of_other_rank():
    info = ParsedTensorInfo(tf.RaggedTensorSpec([None, None], tf.int64), ("a:0", "b:0"))
    with pytest.raises(hub.InputError, match="ragged int64"):
        convert(tf.ragged.constant([[[1]]], dtype=tf.int64), info)


def test_ragged_from_dense():
    info = ParsedTensorInfo(tf.RaggedTensorSpec([None, None], tf.int64), ("a:0", "b:0"))
    values, splits = convert(tf.constant([[1, 2]], tf.int64), info)
    assert (values.numpy().tolist(), splits.numpy().tolist()) == ([1, 2], [0, 2])


def test_sparse_from_dense_and_wrong_kind():
    info = ParsedTensorInfo(tf.SparseTensorSpec([None, 2], tf.float32), ("i:0", "v:0", "s:0"))
    indices, values, shape = convert([[0.0, 5.0]], info)
    assert indices.numpy().tolist() == [[0, 1]]
    assert values.numpy().tolist() == [5.0]
    assert shape.numpy().tolist() == [1, 2]
    ragged = tf.ragged.constant([[1.0, 2.0]])
    with pytest.raises(hub.InputError, match=r"(?s)RaggedTensor.*sparse: value.to_sparse\(\)"):
        convert(ragged, info)
    assert convert(ragged.to_sparse(), info)[1].numpy().tolist() == [1.0, 2.0]


def test_tensors_of_a_graph_that_do_not_fit():
    """Such have no values to show."""
    ragged = ParsedTensorInfo(tf.RaggedTensorSpec([None, None], tf.int64), ("a:0", "b:0"))
    with tf.Graph().as_default():
        value = tf.constant([1.0])
        with pytest.raises(hub.InputError, match=r"Found: SymbolicTensor of float32, shape \[1\]"):
            convert(value, ragged)
        with pytest.raises(hub.InputError, match="Found: list of tensors"):
            convert([value, value], ragged)


@pytest.mark.parametrize("value", [3, 1.5, np.float32(1)])
def test_sparse_from_a_single_number(value):
    info = ParsedTensorInfo(tf.SparseTensorSpec(None, tf.float32), ("i:0", "v:0", "s:0"))
    with pytest.raises(hub.InputError, match="Expected: sparse float32"):
        convert(value, info)
