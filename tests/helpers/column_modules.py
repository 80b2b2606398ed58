"""Modules that feature columns are made of."""

import tensorflow as tf

import hub_keras_bridge as hub

v1 = tf.compat.v1

WORDS = ["hello world", "pair-programming"]


def texts_fn():
    """A vocabulary of two, and zeros for all else."""
    keys = tf.constant(["", *WORDS])
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(keys, tf.range(3, dtype=tf.int64)), 0
    )
    weights = v1.get_variable(
        "weights", initializer=[[0.0, 0, 0, 0], [1.0, 2, 3, 4], [5.0, 5, 5, 5]]
    )
    texts = v1.placeholder(tf.string, [None], name="text")
    hub.add_signature(inputs=texts, outputs=tf.gather(weights, table.lookup(texts)))


def regularized_fn():
    """With all that a training graph collects."""
    texts = v1.placeholder(tf.string, [None])
    w = v1.get_variable("w", initializer=[[1.0, 2.0]], regularizer=lambda w: 0.5 * tf.reduce_sum(w))
    calls = v1.get_variable("calls", initializer=0.0, trainable=False)
    v1.add_to_collection("update_ops", calls.assign_add(1.0))
    lengths = tf.cast(tf.strings.length(texts), tf.float32)
    hub.add_signature(inputs=texts, outputs=lengths[:, None] * w)


def images_fn(shape=(None, 1, 2, 3)):
    images = v1.placeholder(tf.float32, shape)
    weight = v1.get_variable("weight", initializer=[1.0])
    sums = tf.reduce_sum(images, axis=[1, 2]) * weight
    hub.add_signature(inputs={"images": images}, outputs=tf.ensure_shape(sums, [None, 3]))
