"""Runs one graph twice: as TF1 did, in a session, and as a layer.

What builds a graph is a function from input tensors, given by name, to an
output tensor. It runs under the control flow of TF1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import hub_keras_bridge as hub
from hub_keras_bridge.graphs import control_flow
from hub_keras_bridge.plans.program import Program

v1 = tf.compat.v1

Build = Callable[..., tf.Tensor]
Inputs = Mapping[str, np.ndarray]

# Each has TensorFlow build the gradient in another way.
HOW = ("eager tape", "tape around a function", "tape in a function")
# In Keras's stateless form, under a tape.
ON_VALUES = "on values"

X = np.array([[1.0, 2.0], [3.0, -4.0]], np.float32)
WEIGHTS = [[0.5, 0.1], [0.2, 0.3]]


class Cases(list):
    """Functions that build a graph, collected by using it as a decorator."""

    def __call__(self, build: Build) -> Build:
        self.append(build)
        return build


def positive(x: tf.Tensor) -> tf.Tensor:
    """A predicate that differs between inputs."""
    return tf.reduce_sum(x) > 0


def weights(dtype: tf.DType = tf.float32) -> tf.Tensor:
    """The trainable variable that most graphs use, two by two."""
    start = v1.constant_initializer(WEIGHTS)
    with v1.variable_scope("", reuse=v1.AUTO_REUSE):
        return v1.get_variable("w", [2, 2], dtype, initializer=start)


@contextmanager
def v1_control_flow() -> Iterator[None]:
    """Within, tf.cond and tf.while_loop make the ops of TF1."""
    v1.disable_control_flow_v2()
    try:
        yield
    finally:
        v1.enable_control_flow_v2()


@dataclass(frozen=True)
class Run:
    """What one training call gave.

    Attributes:
        output: the value.
        gradients: of the sum of the output's squares, by input and variable.
        variables: values after the call, by TF1 name.
    """

    output: np.ndarray
    gradients: dict[str, np.ndarray]
    variables: dict[str, np.ndarray]


def module_fn(build: Build, inputs: Inputs, use_resource: bool = True) -> Callable[[], None]:
    """A module whose only signature takes the inputs and returns what was built."""

    def publish() -> None:
        with v1.variable_scope("", use_resource=use_resource):
            fed = _placeholders(inputs)
            hub.add_signature(inputs=fed, outputs=build(**fed))

    return publish


def publish(build: Build, inputs: Inputs, use_resource: bool = True) -> hub.ModuleSpec:
    """The module in memory."""
    with v1_control_flow():
        return hub.create_module_spec(module_fn(build, inputs, use_resource))


def in_session(spec: hub.ModuleSpec, *calls: Inputs) -> list[Run]:
    """Each call in TF1, on the graph as published, from the variables' initial values."""
    variant = spec.variant(())
    signature = variant.published.signature_def["default"]
    with tf.Graph().as_default() as graph, v1_control_flow():
        v1.train.import_meta_graph(variant.published)
        fed = {n: graph.get_tensor_by_name(signature.inputs[n].name) for n in calls[0]}
        output = graph.get_tensor_by_name(signature.outputs["default"].name)
        gradients = _gradients(output, fed) if output.dtype.is_floating else {}
        updates = [graph.get_operation_by_name(name) for name in variant.update_ops]
        initialize = v1.global_variables_initializer()
        runs = []
        with v1.Session() as session:
            session.run(v1.tables_initializer())
            for inputs in calls:
                session.run(initialize)
                feed = {fed[name]: value for name, value in inputs.items()}
                value, slopes, _ = session.run([output, gradients, updates], feed)
                after = session.run({v.op.name: v for v in v1.global_variables()})
                runs.append(Run(value, slopes, after))
    return runs


def _gradients(output: tf.Tensor, fed: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    sources = {name: tensor for name, tensor in fed.items() if tensor.dtype.is_floating}
    sources |= {variable.op.name: variable for variable in v1.trainable_variables()}
    found = v1.gradients(tf.reduce_sum(output**2), list(sources.values()))
    return {
        name: tf.zeros_like(source) if gradient is None else tf.convert_to_tensor(gradient)
        for (name, source), gradient in zip(sources.items(), found, strict=True)
    }


def in_layer(spec: hub.ModuleSpec, *calls: Inputs, how: str = HOW[0]) -> list[Run]:
    """The same through ModuleLayer.

    Args:
        spec: the module.
        calls: what to feed.
        how: where the gradient is taken, one of ``HOW``.
    """
    layer = hub.ModuleLayer(spec, trainable=True)
    layer.build()
    trained = [facts.node for facts in spec.variant(()).variables if facts.trainable]
    initial = {name: variable.numpy() for name, variable in layer.variable_map.items()}

    def call(fed: dict[str, tf.Tensor]) -> tf.Tensor:
        return layer(next(iter(fed.values())) if len(fed) == 1 else fed, training=True)

    if how == "tape around a function":
        call = tf.function(call)

    def step(fed: dict[str, tf.Tensor]) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        sources = {name: tensor for name, tensor in fed.items() if tensor.dtype.is_floating}
        with tf.GradientTape() as tape:
            tape.watch(list(sources.values()))
            output = call(fed)
            loss = tf.reduce_sum(output**2) if output.dtype.is_floating else None
        if loss is None:
            return output, {}
        sources |= {name: layer.variable_map[name].value for name in trained}
        gradients = tape.gradient(loss, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return output, {name: tf.convert_to_tensor(g) for name, g in gradients.items()}

    if how == "tape in a function":
        step = tf.function(step)
    runs = []
    for inputs in calls:
        for name, variable in layer.variable_map.items():
            variable.assign(initial[name])
        output, gradients = step({name: tf.constant(value) for name, value in inputs.items()})
        after = {name: variable.numpy() for name, variable in layer.variable_map.items()}
        runs.append(Run(output.numpy(), {n: g.numpy() for n, g in gradients.items()}, after))
    return runs


def on_values(spec: hub.ModuleSpec, *calls: Inputs) -> list[Run]:
    """The same through ModuleLayer, in stateless form; its variables are not touched."""
    layer = hub.ModuleLayer(spec, trainable=True)
    layer.build()
    trained = [facts.node for facts in spec.variant(()).variables if facts.trainable]
    before = {name: variable.numpy() for name, variable in layer.variable_map.items()}
    runs = []
    for inputs in calls:
        values = {name: tf.constant(value) for name, value in before.items()}
        fed = {name: tf.constant(value) for name, value in inputs.items()}
        given = [(variable, values[name]) for name, variable in layer.variable_map.items()]
        sources = {name: tensor for name, tensor in fed.items() if tensor.dtype.is_floating}
        sources |= {name: values[name] for name in trained}
        with tf.GradientTape() as tape, keras.StatelessScope(given) as scope:
            tape.watch(list(sources.values()))
            output = layer(next(iter(fed.values())) if len(fed) == 1 else fed, training=True)
            loss = tf.reduce_sum(output**2) if output.dtype.is_floating else None
        slopes = (
            tape.gradient(loss, sources, unconnected_gradients="zero") if loss is not None else {}
        )
        gradients = {name: tf.convert_to_tensor(slope).numpy() for name, slope in slopes.items()}
        after = {name: scope.get_current_value(v) for name, v in layer.variable_map.items()}
        runs.append(Run(output.numpy(), gradients, {n: np.array(v) for n, v in after.items()}))
    np.testing.assert_equal({n: v.numpy() for n, v in layer.variable_map.items()}, before)
    return runs


def check(
    build: Build,
    *values: np.ndarray,
    how: str = HOW[0],
    use_resource: bool = True,
) -> None:
    """Fails unless a layer does with each value of ``x`` what TF1 does.

    The layer must run no control flow of TF1, the module must have it.
    """
    spec = publish(build, {"x": X}, use_resource)
    assert control_flow.has_control_flow(spec.variant(()).published.graph_def)
    chosen = Program(spec.variant(())).call("default", ["default"], training=True)
    assert not control_flow.has_control_flow(chosen.graph_def)
    calls = [{"x": value} for value in values or (X,)]
    ours = on_values(spec, *calls) if how == ON_VALUES else in_layer(spec, *calls, how=how)
    runs = zip(ours, in_session(spec, *calls), strict=True)
    for ours, theirs in runs:
        assert_same(ours, theirs)


def assert_same(actual: Run, expected: Run, tolerance: float = 1e-5) -> None:
    """Fails where two runs differ by more than a part, or an amount, of this size."""
    _assert_close("output", actual.output, expected.output, tolerance)
    for kind in ("gradients", "variables"):
        ours, theirs = getattr(actual, kind), getattr(expected, kind)
        assert set(ours) == set(theirs), kind
        for name in theirs:
            _assert_close(f"{kind} of {name}", ours[name], theirs[name], tolerance)


def _assert_close(what: str, actual: Any, expected: Any, tolerance: float) -> None:
    assert actual.dtype == expected.dtype, what
    if actual.dtype.kind in "fc":
        np.testing.assert_allclose(actual, expected, tolerance, tolerance, err_msg=what)
    else:
        np.testing.assert_array_equal(actual, expected, err_msg=what)


def _placeholders(inputs: Inputs) -> dict[str, tf.Tensor]:
    return {
        name: v1.placeholder(value.dtype, [None, *value.shape[1:]] if value.ndim else [])
        for name, value in inputs.items()
    }
