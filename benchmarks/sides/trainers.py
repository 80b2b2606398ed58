"""Sides that fine-tune a module under a classifier, with stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import hub_keras_bridge as hub
from benchmarks.kinds.kind import Kind, Module
from benchmarks.sides import OURS, SESSION, TWIN, TWIN_WITHOUT_XLA
from benchmarks.sides.batches import batches_of

v1 = tf.compat.v1

_CLASSES = 10
_TRAIN = frozenset({"train"})


@dataclass(frozen=True)
class Examples:
    """Batches to train on.

    Attributes:
        inputs: of shape [steps, batch, ...].
        labels: int32 [steps, batch].
    """

    inputs: np.ndarray
    labels: np.ndarray

    @classmethod
    def of(cls, kind: Kind, steps: int) -> Examples:
        """Random labels for a kind's inputs."""
        inputs = kind.sample(steps * kind.batch_size, 1)
        labels = np.random.default_rng(2).integers(_CLASSES, size=len(inputs), dtype=np.int32)
        shape = steps, kind.batch_size
        return cls(inputs.reshape(*shape, *kind.shape), labels.reshape(shape))

    def dataset(self) -> tf.data.Dataset:
        """One batch per element, again and again."""
        return batches_of((self.inputs, self.labels)).repeat()


@dataclass(frozen=True)
class Trainer:
    """A model in training.

    Attributes:
        train: takes so many steps and returns the mean loss.
        weights: the module's trainable variables, by TF1 name.
    """

    train: Callable[[int], float]
    weights: Callable[[], Mapping[str, np.ndarray]]


def _module_layer(module: Module, examples: Examples) -> Trainer:
    layer = hub.ModuleLayer(module.path, trainable=True)
    model = keras.Sequential([module.kind.input_layer(), layer])
    return _fit(module, model, layer.variable_map, examples)


def _twin(module: Module, examples: Examples, **compile_arguments: Any) -> Trainer:
    twin = module.twin()
    return _fit(module, twin.model, twin.variables, examples, **compile_arguments)


def _fit(
    module: Module,
    features: keras.Model,
    variables: Mapping[str, keras.Variable],
    examples: Examples,
    **compile_arguments: Any,
) -> Trainer:
    head = keras.layers.Dense(_CLASSES)
    # Told of its input, or Keras would cast strings to floats.
    model = keras.Sequential([module.kind.input_layer(), features, head])
    kernel, bias = head.weights
    kernel.assign(_head_kernel(kernel.shape))
    bias.assign(np.zeros(bias.shape))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(module.kind.learning_rate), loss, **compile_arguments)
    dataset = examples.dataset()

    def train(steps: int) -> float:
        history = model.fit(dataset, steps_per_epoch=steps, shuffle=False, verbose=0).history
        return history["loss"][0]

    def weights() -> Mapping[str, np.ndarray]:
        return {name: v.numpy() for name, v in variables.items() if v.trainable}

    return Trainer(train, weights)


def _session(module: Module, examples: Examples) -> Trainer:
    has_train = _TRAIN in hub.load_module_spec(module.path).get_tags()
    with tf.Graph().as_default() as graph:
        inputs, labels = v1.data.make_one_shot_iterator(examples.dataset()).get_next()
        layer = hub.Module(module.path, trainable=True, tags=_TRAIN if has_train else None)
        features = layer(inputs)
        kernel = v1.get_variable("kernel", initializer=_head_kernel([features.shape[-1], _CLASSES]))
        bias = v1.get_variable("bias", initializer=tf.zeros([_CLASSES]))
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, features @ kernel + bias)
        loss = tf.reduce_mean(losses) + v1.losses.get_regularization_loss()
        with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
            train = v1.train.GradientDescentOptimizer(module.kind.learning_rate).minimize(loss)
        session = v1.Session(graph=graph)
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        step = session.make_callable([loss, train])
        read = session.make_callable(
            {name: v.read_value() for name, v in _trained(layer.variable_map).items()}
        )
    return Trainer(lambda steps: float(np.mean([step()[0] for _ in range(steps)])), read)


def _trained(variables: Mapping[str, tf.Variable]) -> dict[str, tf.Variable]:
    return {name: v for name, v in variables.items() if v.trainable}


def _head_kernel(shape: Any) -> np.ndarray:
    return np.random.default_rng(3).uniform(-0.1, 0.1, tuple(shape)).astype(np.float32)


TRAINERS: dict[str, Callable[[Module, Examples], Trainer]] = {
    OURS: _module_layer,
    SESSION: _session,
    TWIN: _twin,
    TWIN_WITHOUT_XLA: partial(_twin, jit_compile=False),
}
