"""Modules in layers of Keras 2, in a graph, as ELMo and the sentence encoders were used.

TensorFlow of today has Keras 2 in the package ``tf_keras``, and of then as ``tf.keras``.
"""

import numpy as np
import tensorflow as tf

from old_code import modules
from old_code.modules import new_session, published, started
from old_code.registry import program

v1 = tf.compat.v1


def _keras_2():
    if tuple(map(int, tf.__version__.split(".")[:2])) < (2, 16):
        return tf.keras
    import tf_keras

    return tf_keras


@program
def a_lambda_that_applies_a_module(hub, folder):
    """The module is made outside, the layer applies it."""
    keras, path = _keras_2(), published(hub, modules.elmo, folder / "m")
    with new_session() as session:
        elmo = hub.Module(path, trainable=True)

        def embed(x):
            return elmo(tf.squeeze(tf.cast(x, tf.string), 1), signature="default", as_dict=True)[
                "default"
            ]

        text = keras.layers.Input(shape=(1,), dtype=tf.string)
        embedded = keras.layers.Lambda(embed, output_shape=(2,))(text)
        model = keras.models.Model(text, keras.layers.Dense(1, kernel_initializer="ones")(embedded))
        model.compile(loss="mse", optimizer="sgd")
        started(session)
        x = [["the cat"], ["dogs"]]
        y = session.run(model.outputs[0], {model.inputs[0]: x})
        return [y, [w.name for w in model.trainable_weights]]


@program
def a_lambda_that_makes_its_module(hub, folder):
    """The module is made in the layer's function, its variables past the layer."""
    keras, path = _keras_2(), modules.published_text_embedding(hub, folder)
    with new_session() as session:
        text = keras.layers.Input(shape=[], dtype=tf.string)
        embedded = keras.layers.Lambda(
            lambda x: hub.Module(path, trainable=True)(x), output_shape=(2,)
        )(text)
        model = keras.models.Model(text, embedded)
        started(session)
        y = session.run(model.outputs[0], {model.inputs[0]: ["cat", "dog bird"]})
        return [y, [v.name for v in v1.trainable_variables()]]


@program
def a_layer_that_builds_its_module(hub, folder):
    """A layer of its own, which adds the module's variables to its weights and trains them."""
    keras, path = _keras_2(), published(hub, modules.elmo, folder / "m")

    class ElmoEmbedding(keras.layers.Layer):
        def build(self, input_shape):
            self.elmo = hub.Module(path, trainable=True, name=f"{self.name}_module")
            self._trainable_weights += v1.trainable_variables(scope=f"^{self.name}_module/.*")
            super().build(input_shape)

        def call(self, x, mask=None):
            strings = tf.squeeze(tf.cast(x, tf.string), 1)
            return self.elmo(strings, as_dict=True, signature="default")["default"]

        def compute_output_shape(self, input_shape):
            return (input_shape[0], 2)

    with new_session() as session:
        text = keras.layers.Input(shape=(1,), dtype=tf.string)
        layer = ElmoEmbedding(name="elmo")
        y = keras.layers.Dense(1, kernel_initializer="ones")(layer(text))
        model = keras.models.Model(text, y)
        train = v1.train.GradientDescentOptimizer(0.1).minimize(
            tf.reduce_sum(y), var_list=model.trainable_weights
        )
        started(session)
        feed = {model.inputs[0]: [["the cat"], ["dogs"]]}
        before = session.run(y, feed)
        session.run(train, feed)
        return [before, session.run(y, feed), [w.name for w in model.trainable_weights]]


@program
def a_model_that_is_fitted(hub, folder):
    """Keras's own loop in the session, weights saved and loaded, features of a module below."""
    keras, path = _keras_2(), modules.published_text_embedding(hub, folder)
    x, y = np.array(["cat", "dog bird", "dog", "bird"]), np.array([[0.0], [1.0], [1.0], [0.0]])

    def build():
        text = keras.layers.Input(shape=[], dtype=tf.string)
        embedded = keras.layers.Lambda(hub.Module(path, trainable=True), output_shape=(2,))(text)
        out = keras.layers.Dense(1, kernel_initializer="ones")(embedded)
        model = keras.models.Model(text, out)
        model.compile(loss="mse", optimizer="sgd")
        return model

    with new_session() as session:
        model = build()
        started(session)
        before = model.predict(x, batch_size=4)
        history = model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
        after = model.predict(x, batch_size=4)
        model.save_weights(str(folder / "weights.h5"))
        embeddings = session.run(v1.global_variables("module"))
    with new_session() as session:
        model = build()
        started(session)
        model.load_weights(str(folder / "weights.h5"))
        again = model.predict(x, batch_size=4)
    return [before, history.history["loss"], after, embeddings, again]
