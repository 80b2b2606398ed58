"""The modules and SavedModels that mutants are made from: small, and of all kinds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

import hub_keras_bridge as hub
from stress.hostile.bases import bases as modules

v1 = tf.compat.v1

# Others of the goldens take seconds each.
_GOLDENS = ("small", "tour", "functions", "ref_vars", "text_embed", "variants")


def bases(folder: Path) -> dict[str, Path]:
    """Name -> folder; those that no golden has are published into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {name: path for name, path in modules(folder).items() if name in _GOLDENS}
    for name, publish in _MADE.items():
        found[name] = folder / name
        if not found[name].exists():
            publish(folder / name)
    return found


def _files(folder: Path) -> Path:
    vocabulary = folder.parent / "words.txt"
    vocabulary.write_text("a\nb\nc\n")
    return vocabulary


def _lines_of(vocabulary: str) -> tf.lookup.TextFileInitializer:
    line, number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
    return tf.lookup.TextFileInitializer(vocabulary, tf.string, line, tf.int64, number)


def _looked_up(folder: Path) -> None:
    """A module with a table filled from a file, a file that is read, losses and updates."""
    vocabulary = str(_files(folder))

    def module_fn(training: bool) -> None:
        words = v1.placeholder(tf.string, [None])
        table = v1.lookup.StaticHashTable(_lines_of(vocabulary), -1)
        weight = v1.get_variable("weight", [4, 2], initializer=v1.ones_initializer())
        moved = v1.get_variable("moved", [2], trainable=False, initializer=v1.zeros_initializer())
        rows = tf.gather(weight, table.lookup(words) + 1)
        v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, tf.reduce_sum(weight**2))
        if training:
            v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, v1.assign_add(moved, [1.0, 1.0]))
        path = tf.constant(vocabulary)
        v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, path)
        outputs = {"default": rows + moved, "text": tf.strings.length(tf.io.read_file(path))}
        hub.add_signature(inputs=words, outputs=outputs)
        hub.add_signature("other", inputs=words, outputs=tf.strings.length(words))

    spec = hub.create_module_spec(
        module_fn, [(set(), {"training": False}), ({"train"}, {"training": True})]
    )
    hub.ModuleLayer(spec).export_module(folder)


class _Scale(tf.Module):
    """All of the reusable interface, with a custom gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = tf.Variable([3.0, 5.0])
        self.mean = tf.Variable([0.0, 0.0], trainable=False)
        self.regularization_losses = [
            tf.function(lambda: tf.reduce_sum(self.scale), input_signature=[])
        ]

    variables = trainable_variables = None

    @tf.function(autograph=False)
    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        if training:
            self.mean.assign_add(tf.reduce_mean(x, axis=0))
        return _clipped(x * self.scale) + (100.0 if training else 0.0)


@tf.custom_gradient
def _clipped(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    return tf.identity(x), lambda upstream: tf.clip_by_value(upstream, -1.0, 1.0)


def _reusable(folder: Path) -> None:
    module = _Scale()
    module.variables, module.trainable_variables = [module.scale, module.mean], [module.scale]
    spec = tf.TensorSpec([None, 2], tf.float32)
    for training in (False, True):
        module.__call__.get_concrete_function(spec, training=training)
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=True)
    tf.saved_model.save(module, str(folder), options=options)


class _Words(tf.Module):
    """A table filled from an asset, a mutable one, a loop and a branch."""

    def __init__(self, vocabulary: str) -> None:
        super().__init__()
        self.table = tf.lookup.StaticHashTable(_lines_of(vocabulary), -1)
        self.counts = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, 0)
        self.weight = tf.Variable(tf.ones([4, 2]))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def __call__(self, words: tf.Tensor) -> tf.Tensor:
        rows = tf.gather(self.weight, self.table.lookup(words) + 1)
        rows += tf.cast(self.counts.lookup(words), tf.float32)[:, None]
        _, rows = tf.while_loop(lambda i, _: i < 2, lambda i, r: (i + 1, r * 2.0), [0, rows])
        return tf.cond(tf.size(words) > 1, lambda: rows, lambda: -rows)


def _words(folder: Path) -> None:
    tf.saved_model.save(_Words(str(_files(folder))), str(folder))


def _exported(folder: Path) -> None:
    """What Keras 3 exports."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1), keras.layers.Dropout(0.5)])
    model.export(str(folder), verbose=False)


def _tf1_saved_model(folder: Path) -> None:
    """A SavedModel of TensorFlow 1, with a table and what initializes it."""
    with tf.Graph().as_default(), v1.Session() as session:
        words = v1.placeholder(tf.string, [None])
        table = v1.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([1, 2], tf.int64)), 0
        )
        weight = v1.get_variable(
            "weight", [3], initializer=v1.ones_initializer(), use_resource=True
        )
        output = tf.gather(weight, table.lookup(words))
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        v1.saved_model.simple_save(
            session, str(folder), {"words": words}, {"output": output}, v1.tables_initializer()
        )


_MADE: dict[str, Callable[[Path], None]] = {
    "looked_up": _looked_up,
    "reusable": _reusable,
    "words": _words,
    "exported": _exported,
    "tf1_saved_model": _tf1_saved_model,
}
