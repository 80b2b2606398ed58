"""SavedModels that feature columns are made of."""

import tensorflow as tf
import tf_keras

import hub_keras_bridge as hub

WORDS = ["hello world", "pair-programming"]
ROWS = [[0.0, 0, 0, 0], [1.0, 2, 3, 4], [5.0, 5, 5, 5]]


class Texts(tf.Module):
    """A vocabulary of two, and zeros for all else; in training a hundred more."""

    # SavedModels keep attributes, and no properties such as tf.Module has.
    variables = trainable_variables = ()

    def __init__(self):
        super().__init__()
        self.table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(["", *WORDS], tf.range(3, dtype=tf.int64)), 0
        )
        self.rows = tf.Variable(ROWS, name="rows")
        self.count = tf.Variable(7.0, trainable=False, name="statistics/count")
        self.variables = [self.rows, self.count]
        self.trainable_variables = [self.rows]
        self.regularization_losses = [
            tf.function(lambda: 0.1 * tf.reduce_sum(self.rows), input_signature=[])
        ]

    @tf.function
    def __call__(self, texts, training=False):
        found = tf.gather(self.rows, self.table.lookup(texts))
        return 100.0 + found if training else found


class ByName(Texts):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def __call__(self, texts):
        found = tf.gather(self.rows, self.table.lookup(texts))
        return {"vectors": found, "twice": 2 * found}


def save_texts(path):
    """Saves Texts, traced for inference and training; returns the path."""
    model = Texts()
    for training in (False, True):
        model.__call__.get_concrete_function(tf.TensorSpec([None], tf.string), training=training)
    tf.saved_model.save(model, str(path))
    return str(path)


def save_by_name(path):
    """Saves ByName; returns the path."""
    tf.saved_model.save(ByName(), str(path))
    return str(path)


def lengths_fn():
    """A TF1 Hub module of texts."""
    texts = tf.compat.v1.placeholder(tf.string, [None])
    w = tf.compat.v1.get_variable("w", initializer=[[1.0, 2.0]])
    found = tf.cast(tf.strings.length(texts), tf.float32)[:, None] * w
    hub.add_signature(inputs=texts, outputs={"default": found, "twice": 2 * found})


def dense_features(path, trained=False, *, output_key=None, **kwargs):
    """Keras 2's layer of one such column."""
    column = hub.text_embedding_column_v2("text", path, output_key, trained)
    return tf_keras.layers.DenseFeatures([column], name="features", **kwargs)
