"""PyTorch changes tensors in place, TensorFlow never: neither sees the other's memory change."""

import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.torch_twins import assert_close, inputs, module, torch, v1, weights

X = inputs()

DTYPES = (
    "bfloat16 float16 float32 float64 complex64 complex128 bool uint8 int8 int16 int32 int64 "
    "uint16 uint32 uint64"
)


@pytest.mark.parametrize("what", ["weight", "input"])
def test_a_change_before_the_gradient_is_an_error_of_pytorch(what):
    layer, x = module(), X.clone()
    y = layer(x)
    with torch.no_grad():
        (weights(layer)[0] if what == "weight" else x).add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_a_freed_graph_is_an_error_of_pytorch():
    loss = module()(X).sum()
    loss.backward()
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()


def test_updates_do_not_reach_back():
    """The gradient of an output is of the count that it was computed from."""
    layer = module(output_key="scaled")
    x = X.clone().requires_grad_()
    first, second = layer(x, training=True), layer(x, training=True)
    seen = layer.variable_map["seen"].value
    assert_close(seen.detach(), 1 + 2 * X.sum())
    kernel, bias = weights(layer)
    for y, count in ((first, 1), (second, 1 + X.sum())):
        (slope,) = torch.autograd.grad(y.sum(), x)
        expected = ((1 - torch.tanh(X @ kernel + bias) ** 2) * count) @ kernel.T
        assert_close(slope, expected.detach())
    assert not seen.requires_grad


def test_an_output_is_nobody_elses():
    layer, x = module(output_key="same"), X.clone()
    y = layer(x)
    y.zero_()
    assert_close(x, X)
    assert_close(layer(x), X)


def test_gradients_are_nobody_elses():
    def module_fn():
        x = v1.placeholder(tf.float32, [3])
        parts = [v1.get_variable(name, initializer=tf.ones([3])) for name in "ab"]
        hub.add_signature(inputs=x, outputs=x + parts[0] + parts[1])

    layer = hub.ModuleLayer(hub.create_module_spec(module_fn), trainable=True)
    layer(torch.ones(3)).sum().backward()
    one, other = (weight.value.grad for weight in layer.trainable_weights)
    one.zero_()
    assert other.tolist() == [1, 1, 1]


@pytest.mark.parametrize("offset", [0, 1, 3, 16])
def test_memory_that_begins_anywhere(offset):
    """TensorFlow ends the process over memory that is not aligned."""
    layer = module()
    whole = torch.zeros(100)
    view = whole[offset : offset + 10].reshape(5, 2).copy_(X)
    expected = layer(X)
    assert_close(layer(view), expected)
    assert_close(layer(X.T.contiguous().T), expected)
    assert_close(layer(X[:1].expand(5, 2)), expected[:1].expand(5, 3))
    kernel, _ = weights(layer)
    kernel.data = whole[offset + 20 : offset + 26].reshape(2, 3).copy_(kernel.data)
    assert_close(layer(X), expected)


def test_weights_are_where_tensorflow_can_read_them():
    assert all(p.data_ptr() % 64 == 0 for p in module().parameters())


@pytest.mark.parametrize("dtype", DTYPES.split())
def test_dtypes(dtype):
    def module_fn():
        x = v1.placeholder(dtype, None)
        hub.add_signature(inputs=x, outputs=tf.identity(x))

    layer = hub.ModuleLayer(hub.create_module_spec(module_fn))
    x = torch.tensor([[0, 1, 1], [1, 0, 1]]).to(getattr(torch, dtype))
    if x.is_complex():
        x = (x * (1 + 2j)).conj()
    for given in (x, x.T, x[:0], x[0, 1]):
        y = layer(given)
        assert (y.dtype, y.shape) == (x.dtype, given.shape)
        assert torch.equal(y, given)
    if x.is_floating_point() or x.is_complex():
        given = x.clone().requires_grad_()
        layer(given).sum().abs().backward()
        assert given.grad.dtype == x.dtype


def test_weights_of_few_bits():
    def module_fn():
        w = v1.get_variable("w", initializer=tf.constant([1.5, 2.5], tf.bfloat16))
        x = v1.placeholder(tf.bfloat16, [2])
        hub.add_signature(inputs=x, outputs=x * w)

    layer = hub.ModuleLayer(hub.create_module_spec(module_fn), trainable=True)
    layer(torch.tensor([2, 4], dtype=torch.bfloat16)).sum().backward()
    (weight,) = layer.trainable_weights
    assert (weight.value.dtype, weight.value.grad.tolist()) == (torch.bfloat16, [2, 4])


def test_text():
    def module_fn():
        text = v1.placeholder(tf.string, [None])
        table = v1.get_variable("table", initializer=tf.ones([7, 2]))
        rows = tf.gather(table, tf.strings.to_hash_bucket_fast(text, 7))
        hub.add_signature(inputs=text, outputs=rows)

    layer = hub.ModuleLayer(hub.create_module_spec(module_fn), trainable=True)
    texts = ["a", "bc", ""]
    layer(texts).sum().backward()
    slope = layer.weights[0].value.grad.clone()
    layer.zero_grad()
    layer(torch.from_numpy(hub.text_to_bytes(texts))).sum().backward()
    assert_close(layer.weights[0].value.grad, slope)
    assert float(slope.sum()) == 6
    np.testing.assert_array_equal(layer(np.array(texts)).shape, [3, 2])
