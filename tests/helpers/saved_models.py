"""Objects of TensorFlow 2 and models of Keras, to be saved as SavedModels."""

import tensorflow as tf


class Reusable(tf.Module):
    """All of the interface, as its documentation has it."""

    def __init__(self):
        super().__init__()
        self.scale = tf.Variable([3.0, 5.0])
        self.mean = tf.Variable([0.0, 0.0], trainable=False)
        self.regularization_losses = [
            tf.function(lambda: tf.reduce_sum(self.scale), input_signature=[])
        ]

    variables = trainable_variables = None

    @tf.function
    def __call__(self, x, training=False):
        if training:
            self.mean.assign_add(tf.reduce_mean(x, axis=0))
        return x * self.scale + (100.0 if training else 0.0)

    def save(self, folder):
        self.variables, self.trainable_variables = [self.scale, self.mean], [self.scale]
        for training in (False, True):
            self.__call__.get_concrete_function(
                tf.TensorSpec([None, 2], tf.float32), training=training
            )
        tf.saved_model.save(self, folder)


def dense_model(library):
    return library.Sequential(
        [
            library.Input((2,)),
            library.layers.Dense(2, kernel_regularizer="l2"),
            library.layers.BatchNormalization(),
        ]
    )
