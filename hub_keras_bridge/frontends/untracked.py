"""Says so where a Keras model trains and weights that its call reads are none of its own.

Keras finds the weights of layers, in attributes of layers and in lists and dicts there. It
finds none in a function, such as a ``Lambda``'s, and none in an object of TensorFlow's. They
are left as they are then, and no file of the model has them; Keras does not say so.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import keras
import tensorflow as tf
from absl import logging

from hub_keras_bridge.compat import keras as private_keras
from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.errors import Subject

# What to do about what hub.load returned.
USE_A_LAYER = (
    "use hub.ModuleLayer(handle, trainable=True), or without trainable to leave them as they are"
)

# What was called by which model; once is enough to look.
_LOOKED_AT: weakref.WeakKeyDictionary[keras.layers.Layer, weakref.WeakSet[Any]] = (
    weakref.WeakKeyDictionary()
)


@tf.autograph.experimental.do_not_convert
def warn_of_untracked(
    called: Any, trainable: Callable[[], Iterable[tf.Variable]], subject: Subject, advice: str
) -> None:
    """Warns, once, if gradients are taken of a Keras model that calls what it does not know.

    Args:
        called: what is being called: a layer or an object of TensorFlow's.
        trainable: tells its variables that could be trained.
        subject: the module, for the message.
        advice: what to do.
    """
    model = private_keras.outermost_layer()
    if model is None or model is called or not private_tf.tape_records():
        return
    looked_at = _LOOKED_AT.setdefault(model, weakref.WeakSet())
    if called in looked_at:
        return
    looked_at.add(called)
    could_be_trained = list(trainable())
    known = {id(private_keras.raw_variable(weight)) for weight in model.weights}
    if could_be_trained and known.isdisjoint(map(id, could_be_trained)):
        logging.warning(
            "Keras does not know the %d trainable variable(s) of what layer %r calls (%s): they "
            "are neither trained nor saved with it. What to do: %s",
            len(could_be_trained),
            model.name,
            subject,
            advice,
        )
