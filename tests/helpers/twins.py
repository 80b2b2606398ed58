"""A module and native Keras layers that compute the same, to be told apart by nothing else."""

import functools

import keras
import numpy as np
import tensorflow as tf

import hub_keras_bridge as hub

v1 = tf.compat.v1

RATE, MOMENTUM, EPSILON = 0.01, 0.9, 1e-3
KERNEL = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
TABLE = np.linspace(-1, 1, 21, dtype=np.float32).reshape(7, 3)
IDS = np.arange(20).reshape(10, 2) % 5
X = np.sin(np.arange(40, dtype=np.float32)).reshape(10, 4)
Y = np.cos(np.arange(20, dtype=np.float32)).reshape(10, 2)


def dense_bn_fn(training=False):
    """A dense layer with L2 and batch normalization, in TF1's words."""
    x = v1.placeholder(tf.float32, [None, 4])
    kernel = v1.get_variable("dense/kernel", initializer=KERNEL)
    bias = v1.get_variable("dense/bias", initializer=tf.zeros([3]))
    gamma = v1.get_variable("bn/gamma", initializer=tf.ones([3]))
    beta = v1.get_variable("bn/beta", initializer=tf.zeros([3]))
    mean = v1.get_variable("bn/mean", initializer=tf.zeros([3]), trainable=False)
    variance = v1.get_variable("bn/variance", initializer=tf.ones([3]), trainable=False)
    v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, RATE * tf.reduce_sum(kernel**2))
    y = tf.tanh(tf.matmul(x, kernel) + bias)
    moments = (mean, variance)
    if training:
        moments = tf.nn.moments(y, [0])
        for moving, now in zip((mean, variance), moments, strict=True):
            update = moving.assign(moving * MOMENTUM + now * (1 - MOMENTUM))
            v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, update)
    normal = tf.nn.batch_normalization(y, *moments, beta, gamma, EPSILON)
    hub.add_signature(inputs=x, outputs=normal)


@functools.cache
def spec():
    """Made once; no test changes it."""
    return hub.create_module_spec(dense_bn_fn, [((), {}), ({"train"}, {"training": True})])


def module(trainable=True):
    """The module, as one layer."""
    return hub.ModuleLayer(spec(), trainable=trainable)


def native(trainable=True):
    """The same from Keras's own layers."""
    dense = keras.layers.Dense(
        3,
        "tanh",
        kernel_initializer=lambda *_, **__: tf.constant(KERNEL),
        kernel_regularizer=keras.regularizers.L2(RATE),
    )
    normal = keras.layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON)
    part = keras.Sequential([keras.Input((4,)), dense, normal])
    part.trainable = trainable
    return part


def embedding_fn():
    """The mean of two rows of a table."""
    ids = v1.placeholder(tf.int32, [None, 2])
    table = v1.get_variable("table", initializer=TABLE)
    hub.add_signature(inputs=ids, outputs=tf.reduce_mean(tf.gather(table, ids), 1))


def embedding_module():
    """An embedding of pairs of ids, as one layer."""
    return hub.ModuleLayer(hub.create_module_spec(embedding_fn), trainable=True)


def embedding_native():
    """The same from Keras's own layers."""
    table = keras.layers.Embedding(7, 3, lambda *_, **__: tf.constant(TABLE))
    return keras.Sequential([table, keras.layers.GlobalAveragePooling1D()])
