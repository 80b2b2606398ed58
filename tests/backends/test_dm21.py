"""A density functional and its derivatives, on each backend: what physics programs ask of it."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.backends import BACKEND, numbers
from helpers.places import DM21, DM21_ORACLE, needs_dm21

DENSITY = "tensor_dict$rho_a"


@pytest.fixture(scope="module")
def oracle():
    found = {"in": {}, "out": {}}
    with np.load(DM21_ORACLE) as arrays:
        for key in arrays.files:
            _, _, direction, name = key.split("|")
            found[direction][name] = arrays[key]
    return found


def _in_tensorflow(energy, density):
    with tf.GradientTape() as second:
        second.watch(density)
        with tf.GradientTape() as first:
            first.watch(density)
            value = energy(density)
        slope = first.gradient(value, density)
    return slope, second.gradient(slope, density)


def _in_jax(energy, density):
    import jax

    slope = jax.grad(energy)
    return [jax.jit(f)(density) for f in (slope, jax.grad(lambda x: slope(x).sum()))]


def _in_torch(energy, density):
    import torch

    density.requires_grad_()
    (slope,) = torch.autograd.grad(energy(density), density, create_graph=True)
    return slope, *torch.autograd.grad(slope.sum(), density)


DERIVATIVES = {"tensorflow": _in_tensorflow, "jax": _in_jax, "torch": _in_torch}


@pytest.mark.slow
@needs_dm21
def test_energy_and_its_derivatives(oracle):
    layer = hub.ModuleLayer(DM21, as_dict=True)
    for name, expected in oracle["out"].items():
        np.testing.assert_allclose(numbers(layer(oracle["in"])[name]), expected, atol=1e-6)

    def energy(layer, density, total):
        return total(layer({**oracle["in"], DENSITY: density})["grid_contribution"])

    found = DERIVATIVES[BACKEND](
        functools.partial(energy, layer, total=keras.ops.sum),
        keras.ops.convert_to_tensor(oracle["in"][DENSITY]),
    )
    loaded = hub.load(DM21).signatures["default"]

    def by_load(values):
        return loaded(**{name.replace("$", "_"): tf.constant(v) for name, v in values.items()})

    expected = _in_tensorflow(
        functools.partial(energy, by_load, total=tf.reduce_sum), tf.constant(oracle["in"][DENSITY])
    )
    for ours, theirs in zip(found, expected, strict=True):
        scale = np.abs(theirs).max()
        assert scale > 0
        np.testing.assert_allclose(numbers(ours), theirs, rtol=0, atol=1e-5 * scale)
