"""Modules whose signatures share weights, as those of USE-QA, of autoencoders and of image modules.

With each comes what its signatures are trained on together.
"""

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1

WORDS = ["how", "old", "are", "you", "i", "am", "ten", "years"]
QUESTIONS = np.array(["how old are you", "who are you", "how how"], object)
RESPONSES = np.array(["i am ten", "i am", "ten years old"], object)
CONTEXTS = np.array(["", "you are you", "years and years"], object)

X = np.sin(np.arange(20, dtype=np.float32)).reshape(5, 4)
Y = np.cos(np.arange(10, dtype=np.float32)).reshape(5, 2)

RATE = 0.1
STEPS = 3


def _wave(*shape):
    return np.sin(1 + np.arange(np.prod(shape), dtype=np.float32)).reshape(shape)


def _regularize(variable):
    v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, 0.05 * tf.nn.l2_loss(variable))


def questions_and_answers(hub):
    """Two encoders of text on one vocabulary and one table of embeddings."""
    keys = tf.constant(WORDS)
    ids = tf.constant(np.arange(1, len(WORDS) + 1, dtype=np.int64))
    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, ids), 0)
    words = v1.get_variable("words", initializer=_wave(len(WORDS) + 1, 6))
    _regularize(words)

    def embed(texts):
        found = v1.strings.split(texts)
        rows = tf.SparseTensor(found.indices, table.lookup(found.values), found.dense_shape)
        return tf.nn.safe_embedding_lookup_sparse(words, rows, combiner="sqrtn")

    question, response, context = (v1.placeholder(tf.string, [None]) for _ in range(3))
    asked = tf.tanh(embed(question) @ v1.get_variable("question/kernel", initializer=_wave(6, 3)))
    both = tf.concat([embed(response), embed(context)], 1)
    answered = tf.tanh(both @ v1.get_variable("response/kernel", initializer=_wave(12, 3)))
    hub.add_signature("question_encoder", {"input": question}, {"outputs": asked})
    hub.add_signature(
        "response_encoder", {"input": response, "context": context}, {"outputs": answered}
    )


def autoencoder(hub):
    """An encoder, and a decoder with the same matrix."""
    kernel = v1.get_variable("kernel", initializer=_wave(4, 2))
    bias = v1.get_variable("decoder/bias", initializer=_wave(4))
    _regularize(kernel)
    x, code = v1.placeholder(tf.float32, [None, 4]), v1.placeholder(tf.float32, [None, 2])
    hub.add_signature("encode", x, tf.tanh(x @ kernel))
    hub.add_signature("decode", code, tf.matmul(code, kernel, transpose_b=True) + bias)


def normalized_in_one(hub, training=False):
    """Features that are normalized by moving averages, and the same ones that are not."""
    x, raw = (v1.placeholder(tf.float32, [None, 4]) for _ in range(2))
    kernel = v1.get_variable("kernel", initializer=_wave(4, 2))
    mean = v1.get_variable("mean", initializer=tf.zeros([2]), trainable=False)
    y, used = x @ kernel, mean
    if training:
        used = tf.reduce_mean(y, 0)
        v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, mean.assign(0.9 * mean + 0.1 * used))
    hub.add_signature("normalized", x, y - used)
    hub.add_signature("raw", raw, raw @ kernel)
