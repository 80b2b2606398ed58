"""Models that Keras on one framework saves and Keras on another one trains on.

Each framework has a process of its own; that of the tests has TensorFlow.
"""

import contextlib
import multiprocessing
import os

import keras
import numpy as np
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.golden import Golden
from helpers.saved_models import Reusable

BACKENDS = ["tensorflow", "jax", "torch"]
_BATCH = 4
_BATCHES = 2


# --- a model ---


def _encoder_fn():
    v1 = tf.compat.v1
    x, y = v1.placeholder(tf.float32, [None, 3]), v1.placeholder(tf.float32, [None, 2])
    kernel = v1.get_variable("kernel", [3, 2], initializer=v1.glorot_uniform_initializer(1))
    v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, 0.1 * tf.nn.l2_loss(kernel))
    hub.add_signature("encode", x, tf.matmul(x, kernel))
    hub.add_signature("decode", y, tf.matmul(y, kernel, transpose_b=True))


def _layer(name, **kwargs):
    golden = Golden(name)
    return hub.ModuleLayer(
        golden.path, trainable=True, training_tags=golden.tune["tags"], name=name, **kwargs
    )


def _restored(folder):
    """A layer of a TF2 SavedModel with a loss and an update."""
    path = os.path.join(folder, f"restored by {keras.backend.backend()}")
    Reusable().save(path)
    return hub.ModuleLayer(path, trainable=True, name="restored")


def _model(folder):
    """Modules with updates and losses, of text, of partitioned variables; two signatures of one.

    And a TF2 SavedModel.
    """
    encode = hub.ModuleLayer(
        hub.create_module_spec(_encoder_fn), signature="encode", trainable=True, name="encode"
    )
    decode = encode.with_signature("decode", name="decode")
    inputs = {
        name: keras.Input(value.shape[1:], dtype=value.dtype.name, name=name)
        for name, value in _inputs().items()
    }
    outputs = [
        _layer("mlp_bn")(inputs["numbers"]),
        # It has a vocabulary, and a partitioned variable.
        _layer("text_embed")(inputs["text"]),
        decode(encode(inputs["pixels"])),
        # In training it adds 100.
        keras.layers.Rescaling(0.01)(_restored(folder)(inputs["points"])),
    ]
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Concatenate()(outputs)))
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "mse")
    return model


def _inputs():
    """By name, for steps before and after a model is saved."""
    numbers, text = (np.concatenate([x for x, _ in Golden(n).batches()]) for n in _ZOO)
    count = 2 * _BATCHES * _BATCH
    pixels = np.random.RandomState(0).normal(size=(count, 3)).astype(np.float32)
    text = hub.text_to_bytes(np.resize(text, count), 60)
    return {
        "numbers": np.resize(numbers, (count, *numbers.shape[1:])),
        "text": text,
        "pixels": pixels,
        "points": pixels[:, :2],
    }


_ZOO = ["mlp_bn", "text_embed"]


# --- what a process does with it ---


def save(folder):
    """Makes, trains and saves a model; what becomes of it if it goes on."""
    model = _model(folder)
    _fit(model, slice(0, _BATCHES * _BATCH))
    model.save(_file(folder, keras.backend.backend()))
    return _go_on(model)


def load(folder, saved_by):
    """Loads what :func:`save` saved; what becomes of it if it goes on."""
    model = keras.models.load_model(_file(folder, saved_by))
    if saved_by == "torch":
        _take_optimizer(model)
    return _go_on(model)


def _take_optimizer(model):
    """Compiles anew: on PyTorch, Keras saves the name of a class that only PyTorch runs."""
    saved = model.optimizer
    optimizer = keras.optimizers.SGD.from_config(saved.get_config())
    optimizer.build(model.trainable_variables)
    for variable, value in zip(optimizer.variables, saved.variables, strict=True):
        variable.assign(keras.ops.convert_to_numpy(value))
    model.compile(optimizer, "mse")


def _file(folder, backend):
    return os.path.join(folder, f"{backend}.keras")


def _go_on(model):
    """Outputs and losses as they are, and after more steps; weights in the end."""
    rows = slice(_BATCHES * _BATCH, None)
    given = {name: value[rows] for name, value in _inputs().items()}
    return {
        "outputs": model.predict(given, verbose=0),
        "losses": [float(keras.ops.convert_to_numpy(loss)) for loss in model.losses],
        "losses of steps": _fit(model, rows),
        "outputs afterwards": model.predict(given, verbose=0),
        **{f"weight {i}": weight for i, weight in enumerate(model.get_weights())},
    }


def _fit(model, rows):
    given = {name: value[rows] for name, value in _inputs().items()}
    targets = given["pixels"][:, :2]
    history = model.fit(given, targets, batch_size=_BATCH, shuffle=False, verbose=0)
    return history.history["loss"]


# --- the processes ---


@contextlib.contextmanager
def processes(backends):
    """Backend -> what calls a function of this module there; its result is waited for by ``()``."""
    with contextlib.ExitStack() as stack:
        yield {backend: stack.enter_context(_process(backend)) for backend in backends}


@contextlib.contextmanager
def _process(backend):
    if keras.backend.backend() == backend:
        yield lambda function, *arguments: lambda: function(*arguments)
        return
    context = multiprocessing.get_context("spawn")
    before = os.environ.get("KERAS_BACKEND")
    os.environ["KERAS_BACKEND"] = backend
    try:
        pool = context.Pool(1)
    finally:
        del os.environ["KERAS_BACKEND"]
        if before is not None:
            os.environ["KERAS_BACKEND"] = before
    with pool:
        yield lambda function, *arguments: pool.apply_async(function, arguments).get
