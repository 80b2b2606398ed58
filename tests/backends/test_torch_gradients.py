"""Gradients are where PyTorch's users expect them, beside a module of PyTorch's own ops."""

import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.torch_twins import RATE, assert_close, both, inputs, module, torch, v1, weights

X = inputs()


def accumulated(call, parameters):
    call(X).sum().backward()
    call(2 * X).square().mean().backward()


def two_calls_before_one_backward(call, parameters):
    (call(X) * call(3 * X)).sum().backward()


def backward_twice(call, parameters):
    loss = call(X).square().sum()
    loss.backward(retain_graph=True)
    loss.backward(retain_graph=True)
    loss.backward()


def trained(optimizer, **arguments):
    def run(call, parameters):
        steps = optimizer(parameters, **arguments)
        for _ in range(4):
            steps.zero_grad()
            (call(X) - 1).square().mean().backward()
            torch.nn.utils.clip_grad_norm_(parameters, 0.5)
            steps.step()

    return run


def with_output_changed_in_place(call, parameters):
    y = call(X)
    y.add_(1)
    torch.nn.functional.relu(y, inplace=True).square().sum().backward()


def in_a_module(call, parameters):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), call, torch.nn.ReLU(inplace=True))
    model(X).sum().backward()


def checkpointed(call, parameters):
    x = X.clone().requires_grad_()
    torch.utils.checkpoint.checkpoint(call, x, use_reentrant=False).square().sum().backward()


def in_a_frozen_half(call, parameters):
    parameters[0].requires_grad_(False)
    call(X).sum().backward()


def penalized(call, parameters):
    """As where a gradient's norm is held near one."""
    x = X.clone().requires_grad_()
    (slope,) = torch.autograd.grad(call(x).sum(), x, create_graph=True)
    (slope.norm() - 1).square().backward()


WAYS = [
    accumulated,
    two_calls_before_one_backward,
    backward_twice,
    trained(torch.optim.SGD, lr=0.1, momentum=0.9),
    trained(torch.optim.AdamW, lr=0.1, weight_decay=0.1),
    with_output_changed_in_place,
    in_a_module,
    checkpointed,
    in_a_frozen_half,
    penalized,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__qualname__.split(".")[0])
def test_as_of_ops_of_pytorch(way):
    (ours, own), (theirs, expected) = both()
    way(ours, own)
    way(theirs, expected)
    for parameter, twin in zip(own, expected, strict=True):
        assert_close(parameter, twin)
        if twin.grad is None:
            assert parameter.grad is None
        else:
            assert_close(parameter.grad, twin.grad)


def test_of_what_is_not_connected():
    layer = module()
    x, (kernel, _) = X.clone().requires_grad_(), weights(layer)
    spare = layer.variable_map["spare"].value
    layer(x).sum().backward()
    assert spare.grad is None
    y = module(output_key="same")(x)
    with pytest.raises(RuntimeError, match="appears to not have been used"):
        torch.autograd.grad(y.sum(), [x, kernel])
    assert torch.autograd.grad(y.sum(), kernel, allow_unused=True) == (None,)


def test_checked_by_numbers():
    def module_fn():
        x = v1.placeholder(tf.complex128, [None, 2])
        w = v1.get_variable("w", initializer=tf.constant([[1.0, -2.0], [0.5, 3.0]], tf.float64))
        hub.add_signature(inputs=x, outputs=tf.sin(tf.matmul(x, tf.cast(w, x.dtype))))

    layer = hub.ModuleLayer(hub.create_module_spec(module_fn), trainable=True)
    layer.build()
    x = torch.tensor([[0.25 + 1j, -0.5], [1.0, 0.75 - 2j]], dtype=torch.complex128)
    given = x.requires_grad_(), layer.weights[0].value
    assert torch.autograd.gradcheck(lambda x, _: layer(x), given)
    assert torch.autograd.gradgradcheck(lambda x, _: layer(x), given)


def test_rows_of_a_table():
    def module_fn():
        ids = v1.placeholder(tf.int64, [None])
        table = v1.get_variable("table", initializer=tf.ones([5, 2]))
        hub.add_signature(inputs=ids, outputs=tf.gather(table, ids))

    layer = hub.ModuleLayer(hub.create_module_spec(module_fn), trainable=True)
    layer(torch.tensor([1, 3, 3])).sum().backward()
    assert layer.weights[0].value.grad.tolist() == [[0, 0], [1, 1], [0, 0], [2, 2], [0, 0]]


def test_without_a_gradient():
    layer = module()
    with torch.no_grad():
        assert not layer(X).requires_grad
    assert not module(output_key="class")(X).requires_grad
    assert not module(trainable=False)(X).requires_grad
    layer.trainable = False
    assert not layer(X).requires_grad
    layer.trainable = True
    assert layer(X).requires_grad
    with torch.inference_mode():
        found = layer(X)
        built_here = module()
    assert_close(found, layer(X).detach())
    built_here(X).sum().backward()


def test_regularization_losses():
    layer = module()
    kernel, _ = weights(layer)
    sum(layer.losses).backward()
    assert_close(kernel.grad, 2 * RATE * kernel)


def test_a_graph_without_gradients_fails_where_it_is_asked_for():
    def module_fn():
        x = v1.placeholder(tf.float32, [None])
        w = v1.get_variable("w", initializer=2.0)
        hub.add_signature(inputs=x, outputs=tf.raw_ops.PreventGradient(input=x * w, message="Why"))

    y = hub.ModuleLayer(hub.create_module_spec(module_fn), trainable=True)([1.0, 2.0])
    assert y.tolist() == [2, 4]
    with pytest.raises(hub.TrainingError, match="Cannot differentiate a TF1 Hub module") as caught:
        y.sum().backward()
    assert "Why" in str(caught.value)
