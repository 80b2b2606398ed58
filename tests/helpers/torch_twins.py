"""A module, and the same as PyTorch's users write it. For processes of PyTorch alone."""

import functools

import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.backends import BACKEND

if BACKEND != "torch":
    pytest.skip("of PyTorch alone", allow_module_level=True)

torch = pytest.importorskip("torch")

v1 = tf.compat.v1

KERNEL = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
RATE = 0.25


def tanh_fn():
    """A dense layer, a count of what it saw in training, and a variable that it does not use."""
    x = v1.placeholder(tf.float32, [None, 2])
    kernel = v1.get_variable("dense.1/kernel", initializer=KERNEL)
    bias = v1.get_variable("dense.1/bias", initializer=tf.zeros([3]))
    v1.get_variable("spare", initializer=tf.ones([3]))
    seen = v1.get_variable("seen", initializer=1.0, trainable=False)
    v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, seen.assign_add(tf.reduce_sum(x)))
    v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, RATE * tf.reduce_sum(kernel**2))
    y = tf.tanh(tf.matmul(x, kernel) + bias)
    outputs = {"default": y, "scaled": y * seen, "class": tf.argmax(y, -1), "same": x}
    hub.add_signature(inputs=x, outputs=outputs)


@functools.cache
def spec():
    """Made once; no test changes it."""
    return hub.create_module_spec(tanh_fn)


def module(**arguments):
    """The module, as a layer that has its weights."""
    layer = hub.ModuleLayer(spec(), **{"trainable": True, **arguments})
    layer.build()
    return layer


def weights(layer):
    """The parameters that calls use."""
    held = layer.variable_map
    return held["dense.1/kernel"].value, held["dense.1/bias"].value


class Twin(torch.nn.Module):
    """The same of PyTorch's own ops."""

    def __init__(self):
        super().__init__()
        self.kernel = torch.nn.Parameter(torch.tensor(KERNEL))
        self.bias = torch.nn.Parameter(torch.zeros(3))

    def forward(self, x):
        """As the module does it."""
        # A copy, which may be changed in place.
        return torch.tanh(x @ self.kernel + self.bias) * 1


def both():
    """Either with its parameters."""
    layer, twin = module(), Twin()
    return [(layer, weights(layer)), (twin, (twin.kernel, twin.bias))]


def inputs(rows=5):
    """Numbers to call it with."""
    return torch.sin(torch.arange(2.0 * rows)).reshape(rows, 2)


def assert_close(ours, theirs):
    """Nests of tensors are the same but for rounding."""
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
